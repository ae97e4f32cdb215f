-- Removes a message that a worker has finished.
-- KEYS: hash of messages that workers hold, its index     ARGV: id
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
