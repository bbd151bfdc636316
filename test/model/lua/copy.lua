#!lua
-- Copies a namespace, with its consumer groups and what is pending in them, over another one.
-- KEYS[1]: prefix to copy from, KEYS[2]: prefix to copy to.
local from, to = KEYS[1], KEYS[2]
for _, key in ipairs(redis.call('KEYS', to .. '*')) do redis.call('DEL', key) end
for _, key in ipairs(redis.call('KEYS', from .. '*')) do redis.call('COPY', key, to .. string.sub(key, #from + 1)) end
