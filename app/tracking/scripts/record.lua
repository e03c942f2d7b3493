-- Records one batch: once, whatever happens to the reply.
-- KEYS: epoch, sequence, stream, guard of this batch; then those that the plan names by their places.
-- ARGV: epoch to set where there is none; the hits, as `app.tracking.hits.pack` made them, which are not looked into;
--       seconds to remember the batch, a client's event id, a visitor; the packed plan: {place of a campaign, whose hours
--       follow, of a participant, of a day's visitors, …}, {a counter, the field of its hour, …}, and for each hit the row
--       (from 0) of the first and of the second, its visitor, the place of its client's event id, if it has one.
-- Returns the packed places (from 0) of the hits that were recorded before, or an empty string.
local done = redis.call('GET', KEYS[4])
if done then
  return done
end
redis.call('SET', KEYS[1], ARGV[1], 'NX')

local rows, names, row_of, name_of, visitor_of, id_of = unpack(cmsgpack.unpack(ARGV[6]))

-- By the place of the key.
local sums = {}
local function count(key, field, number)
  local fields = sums[key]
  if not fields then
    fields = {}
    sums[key] = fields
  end
  fields[field] = (fields[field] or 0) + number
end

local repeats, firsts, visitors = {}, {}, {}
for place = 1, #row_of do
  local id = KEYS[id_of[place] or 0]
  if id and not redis.call('SET', id, '1', 'NX', 'EX', ARGV[4]) then
    repeats[#repeats + 1] = place - 1
  else
    firsts[#firsts + 1] = id
    local row, counter, hour = 3 * row_of[place], names[2 * name_of[place] + 1], names[2 * name_of[place] + 2]
    count(rows[row + 1], counter, 1)
    count(rows[row + 1] + 1, hour, 1)
    count(rows[row + 2], counter, 1)
    if visitor_of[place] and (counter == 'clicks' or counter == 'scans') then
      local of_row = visitors[row] or {}
      of_row[#of_row + 1] = visitor_of[place]
      visitors[row] = of_row
    end
  end
end

-- Scripts are not rolled back. What is told to have come before must be in the stream: without it, whoever sends it again
-- to a Redis that refused it would be told that it is there.
local function fail(fault)
  for _, key in ipairs(firsts) do
    redis.call('DEL', key)
  end
  return fault
end

-- Before the counters: they can be set right from what the stream has, whatever they fail at.
local reply = ''
if #repeats > 0 then
  reply = cmsgpack.pack(repeats)
end
if #repeats < #row_of then
  local number = redis.pcall('INCR', KEYS[2])
  if type(number) == 'table' then
    return fail(number)
  end
  local entry = redis.pcall('XADD', KEYS[3], '*', 'n', number, 'b', ARGV[2], 'x', reply)
  if type(entry) == 'table' then
    redis.call('DECR', KEYS[2])
    return fail(entry)
  end
end

for row, of_row in pairs(visitors) do
  local key = KEYS[rows[row + 3]]
  local new = redis.call('SADD', key, unpack(of_row))
  if new > 0 then
    count(rows[row + 1], 'unique_visitors', new)
    count(rows[row + 2], 'unique_visitors', new)
    -- Once: each EXPIRE is one more line of the append-only file.
    if redis.call('SCARD', key) == new then
      redis.call('EXPIRE', key, ARGV[5])
    end
  end
end
for key, fields in pairs(sums) do
  for field, number in pairs(fields) do
    redis.call('HINCRBY', KEYS[key], field, number)
  end
end
redis.call('SET', KEYS[4], reply, 'EX', ARGV[3])
return reply
