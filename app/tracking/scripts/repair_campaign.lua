-- Sets a campaign's sums and hours to what Postgres has, plus what the stream holds beyond it.
-- KEYS: stream, campaign, hours. ARGV: the last drained entry, the campaign, the packed counters {counter, number, …} and
-- hours {field, number, …}.
-- Visitors of pending hits may be known or new, which only their participants' keys tell: while there are any, the sum
-- of visitors stays what the repair of the participants made of it.
local counts, hours = cmsgpack.unpack(ARGV[3]), cmsgpack.unpack(ARGV[4])
local sums, by_hour, visits = {}, {}, false
for i = 1, #counts, 2 do
  sums[counts[i]] = counts[i + 1]
end
for i = 1, #hours, 2 do
  by_hour[hours[i]] = hours[i + 1]
end

pending(KEYS[1], ARGV[1], ARGV[2], function(_, hit, counter)
  sums[counter] = (sums[counter] or 0) + 1
  local field = string.format('%d|%s|%s', math.floor(hit[6] / HOUR), hit[5], counter)
  by_hour[field] = (by_hour[field] or 0) + 1
  visits = visits or visit_day(hit) ~= nil
end)
if visits then
  sums['unique_visitors'] = nil
end

local function flat(values)
  local list = {}
  for field, number in pairs(values) do
    list[#list + 1] = field
    list[#list + 1] = number
  end
  return list
end

redis.call('DEL', KEYS[3])
ensure_hash(KEYS[2])
in_parts('HSET', KEYS[3], flat(by_hour))
in_parts('HSET', KEYS[2], flat(sums))
return visits and 0 or 1
