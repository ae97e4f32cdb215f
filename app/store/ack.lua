-- A worker has ended with a message.
-- KEYS: hash of messages that workers hold, its index     ARGV: id
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
