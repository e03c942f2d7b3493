-- A campaign's live figures, of one moment.
-- KEYS: epoch, ready, campaign, hours. ARGV: how many fields of the hours are read at the most.
-- Returns the epoch, the epoch whose counters are complete, the campaign's counters, and its hours or false.
local hours = redis.call('HLEN', KEYS[4]) <= tonumber(ARGV[1]) and redis.call('HGETALL', KEYS[4])
return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('HGETALL', KEYS[3]), hours}
