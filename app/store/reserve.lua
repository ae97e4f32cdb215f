-- Records that a worker holds a message.
-- KEYS: hash of messages that workers hold, its index     ARGV: id, message, now
-- HDEL is allowed although Redis is full, and then the other commands are too: a message that was popped is not lost.
redis.call('HDEL', KEYS[1], '')
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
