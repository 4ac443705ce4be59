-- Everybody of a crowd has an open chat with each of those who are watched.
INSERT INTO relations (psychologist_id, patient_id, status, invited_at, since)
SELECT watched, watcher, 'active', now(), now()
FROM unnest(ARRAY{watched}) AS watched, unnest(ARRAY{watchers}) AS watcher;

INSERT INTO chats (psychologist_id, patient_id, status, last_at, created_at)
SELECT watched, watcher, 'open', now(), now()
FROM unnest(ARRAY{watched}) AS watched, unnest(ARRAY{watchers}) AS watcher;

ANALYZE relations, chats;
