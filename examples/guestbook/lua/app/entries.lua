-- What people have left: in a file with one entry a line, URL-encoded as in the form.

local text = require "text"

local ENOENT = 44 -- in WASI
local FILE = "/data/entries"

local entries = {}

-- All entries, the oldest first.
function entries.read()
  local all = {}
  local file, reason, code = io.open(FILE)
  if not file then
    if code ~= ENOENT then error(reason) end
    return all
  end
  for line in file:lines() do
    local fields = text.form_decode(line)
    table.insert(all, { id = #all + 1, name = fields.name, message = fields.message })
  end
  file:close()
  return all
end

-- Appends with a single write, which other requests at the same moment cannot tear apart.
function entries.add(name, message)
  local file = assert(io.open(FILE, "a"))
  local line = ("name=%s&message=%s\n"):format(text.url_encode(name), text.url_encode(message))
  assert(file:write(line))
  assert(file:close())
end

return entries
