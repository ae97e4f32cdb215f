-- Releases deliveries from the backlog of a queue.
-- ARGV: name of the queue
return release(ARGV[1])
