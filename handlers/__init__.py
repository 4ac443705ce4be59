"""What happens when a client asks: events and routes, one module per noun."""

from handlers import accounts, admin, assessments, care, chat, goals, mood, notifications, uploads

NAMESPACES = (
    accounts.account,
    care.care,
    goals.goals,
    chat.chat,
    assessments.assessments,
    mood.mood,
    notifications.notifications,
    uploads.uploads,
    admin.admin,
)
