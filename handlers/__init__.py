"""What happens when a client asks: events and routes, one module per noun."""

from handlers import accounts, care, chat, notifications

NAMESPACES = (accounts.account, care.care, chat.chat, notifications.notifications)
