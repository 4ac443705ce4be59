"""What leaving leaves for later."""

from datetime import timedelta

from handlers.accounts import account
from handlers.leaving.payloads import Erase
from server.outgoing import Queue

GRACE = timedelta(minutes=2)
"""Whatever was under way when somebody left, a request or a job, is over by then."""

erase = account.job("leaving.erase", Erase)
erase_again = account.job("leaving.erase_again", Erase)
mail_receipt = account.job("leaving.mail_receipt", Erase, queue=Queue.MAIL)
