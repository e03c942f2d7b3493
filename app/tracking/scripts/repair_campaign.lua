-- Sets a campaign's sums and hours to what Postgres has, plus what the stream holds beyond it.
-- KEYS: stream, campaign, hours, and where the hours are staged. ARGV: the last drained entry, the campaign, the packed
-- counters {counter, number, …}, how many hours are staged, how many unique visitors were missing.
if redis.call('HLEN', KEYS[4]) ~= tonumber(ARGV[4]) then
  return redis.error_reply('STAGED hours are missing')
end
redis.call('UNLINK', KEYS[3])
if redis.call('EXISTS', KEYS[4]) == 1 then
  redis.call('RENAME', KEYS[4], KEYS[3])
  redis.call('PERSIST', KEYS[3])
end

local counts = cmsgpack.unpack(ARGV[3])
local sums = {}
for i = 1, #counts, 2 do
  sums[counts[i]] = counts[i + 1]
end
pending(KEYS[1], ARGV[1], ARGV[2], function(_, hit, counter)
  sums[counter] = (sums[counter] or 0) + 1
  redis.call('HINCRBY', KEYS[3], string.format('%d|%s|%s', math.floor(hit[6] / HOUR), hit[5], counter), 1)
end)
ensure_hash(KEYS[2])
for counter, number in pairs(sums) do
  redis.call('HSET', KEYS[2], counter, number)
end
redis.call('HINCRBY', KEYS[2], 'unique_visitors', ARGV[5])
return 'OK'
