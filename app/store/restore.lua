-- Puts deliveries into the queue that are in its backlog and in no list of an owner.
-- ARGV: name of the queue, then the ids
-- Returns how many there were.
local restored = 0
for i = 2, #ARGV do
  if forward(ARGV[1], ARGV[i]) then restored = restored + 1 end
end
return restored
