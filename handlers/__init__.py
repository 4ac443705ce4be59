"""What happens when a client asks: events and routes, one module per noun."""

from handlers import accounts, admin, care, chat, goals, notifications, uploads

NAMESPACES = (
    accounts.account,
    care.care,
    goals.goals,
    chat.chat,
    notifications.notifications,
    uploads.uploads,
    admin.admin,
)
