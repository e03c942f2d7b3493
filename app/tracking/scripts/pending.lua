-- Calls `take(target, hit, counter)` for each hit of one campaign in the stream behind an entry. Targets and hits are as
-- `app.tracking.hits.pack` made them.
local function pending(stream, after, campaign, take)
  for _, entry in ipairs(redis.call('XRANGE', stream, '(' .. after, '+')) do
    local fields = {}
    for i = 1, #entry[2], 2 do
      fields[entry[2][i]] = entry[2][i + 1]
    end
    local left_out = {}
    if fields['x'] ~= '' then
      for _, place in ipairs(cmsgpack.unpack(fields['x'])) do
        left_out[place + 1] = true
      end
    end
    local content = cmsgpack.unpack(fields['b'])
    for place, hit in ipairs(content[2]) do
      local target = content[1][hit[2] + 1]
      if target[2] == campaign and not left_out[place] then
        take(target, hit, hit[4] == 'human' and hit[3] .. 's' or hit[4] .. '_hits')
      end
    end
  end
end

local HOUR, DAY, CHINA = 3600000000, 86400000000, 28800000000

-- Days since 1970 in China, or nil where the hit is nobody's visit.
local function visit_day(hit)
  local counts = hit[4] == 'human' and (hit[3] == 'click' or hit[3] == 'scan') and hit[8]
  return counts and math.floor((hit[6] + CHINA) / DAY) or nil
end

-- What is there of another type would fail the repair, which is all that can set it right.
local function ensure_hash(key)
  local kind = redis.call('TYPE', key)['ok']
  if kind ~= 'hash' and kind ~= 'none' then
    redis.call('DEL', key)
  end
end
