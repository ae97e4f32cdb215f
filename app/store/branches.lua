-- Counts the branches of a step. It is a script because a step may have thousands and is checked whenever one ends.
-- ARGV: id of the step's job, branches ('' for a single step)
-- Returns {how many have succeeded, place of the first that ended otherwise or -1, then the places of those that were never submitted}.
local part = keys.job .. ARGV[1]
local single = ARGV[2] == ''
local answer = {0, -1}
for at = 0, (single and 1 or tonumber(ARGV[2])) - 1 do
  local state = redis.call('HGET', single and part or part .. '-' .. at, 'state')
  if not state then
    answer[#answer + 1] = at
  elseif state == 'succeeded' then
    answer[1] = answer[1] + 1
  elseif state ~= 'queued' and state ~= 'running' and answer[2] < 0 then
    answer[2] = at
  end
end
return answer
