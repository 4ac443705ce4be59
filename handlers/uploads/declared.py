"""What uploads leave for later."""

from handlers.uploads.payloads import MakeThumbnail, RemoveBlob, SweepUploads
from server.contract import Namespace
from server.outgoing import Queue

uploads = Namespace("/uploads", "Files: avatars, attachments, photos, receipts.")

make_thumbnail = uploads.job("uploads.make_thumbnail", MakeThumbnail, queue=Queue.FILES)
remove_blob = uploads.job("uploads.remove_blob", RemoveBlob, queue=Queue.FILES)
sweep = uploads.job("uploads.sweep", SweepUploads)
