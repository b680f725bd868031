-- What Argo CD shows of a Release. It has no more of Lua 5.1 than the language, tables and a few basic functions.
-- Healthy: the version that git asks for has all of the work. Progressing: it is on its way, or a step waits for
-- traffic, room or metrics. Suspended: a person has to decide. Degraded: it was rolled back, the manifest cannot be
-- used, or no pod serves.
local progressing = {
  Pending = true, Progressing = true, Waiting = true, Promoting = true, Baking = true, RollingBack = true,
}
local status = obj.status or {}

local function condition(kind)
  for _, one in ipairs(status.conditions or {}) do
    if one.type == kind then
      return one
    end
  end
end

local function said(health, message)
  return {status = health, message = message or ""}
end

if obj.metadata.deletionTimestamp ~= nil then
  return said("Progressing", "the Release is being deleted")
end
if status.phase == nil then
  return said("Progressing", "Pointsman has not looked at this Release yet")
end
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return said("Progressing", "Pointsman has not looked at the newest change yet")
end

local serving = condition("Available")
local nothing_serves = status.stableRevision ~= nil and serving ~= nil and serving.status == "False"
if status.phase == "Invalid" or status.phase == "RolledBack" then
  return said("Degraded", status.message)
end
if nothing_serves then
  return said("Degraded", serving.message)
end
if status.phase == "Healthy" then
  return said("Healthy", status.message)
end
if status.phase == "Paused" then
  return said("Suspended", status.message)
end
if progressing[status.phase] then
  return said("Progressing", status.message)
end
return said("Unknown", status.message)
