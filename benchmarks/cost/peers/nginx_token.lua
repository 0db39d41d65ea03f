-- Verifies a HS256 token with libcrypto (nginx links it) and picks the side by the user's stage. One function per worker.
local ffi = require "ffi"
local cjson = require "cjson.safe"
local lrucache = require "resty.lrucache"
local decode_base64url = require("ngx.base64").decode_base64url

ffi.cdef [[
typedef struct evp_md_st EVP_MD;
const EVP_MD *EVP_sha256(void);
unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *data, size_t n,
                    unsigned char *out, unsigned int *out_len);
int CRYPTO_memcmp(const void *a, const void *b, size_t n);
]]

local C = ffi.C
local SHA256 = C.EVP_sha256()
local out = ffi.new("unsigned char[64]")
local out_len = ffi.new("unsigned int[1]")

local function read(path)
  local file = assert(io.open(path))
  local content = file:read("*a")
  file:close()
  return content
end

local function signed(secret, data, signature)
  C.HMAC(SHA256, secret, #secret, data, #data, out, out_len)
  return #signature == out_len[0] and C.CRYPTO_memcmp(out, signature, #signature) == 0
end

local function verify(token, secret, audience, now)
  local first = string.find(token, ".", 1, true)
  local second = first and string.find(token, ".", first + 1, true)
  if not second then return nil end
  local header = cjson.decode(decode_base64url(string.sub(token, 1, first - 1)) or "")
  if type(header) ~= "table" or header.alg ~= "HS256" then return nil end
  local signature = decode_base64url(string.sub(token, second + 1))
  if not signature or not signed(secret, string.sub(token, 1, second - 1), signature) then return nil end
  local claims = cjson.decode(decode_base64url(string.sub(token, first + 1, second - 1)) or "")
  if type(claims) ~= "table" or type(claims.exp) ~= "number" or claims.exp <= now then return nil end
  if claims.aud ~= audience or type(claims.sub) ~= "string" then return nil end
  return { sub = claims.sub, exp = claims.exp }
end

local function open(stages_file, secret, audience, cached)
  local stages = cjson.decode(read(stages_file))
  local cache = cached and lrucache.new(5000)
  local var, time = ngx.var, ngx.time

  return function()
    local authorization = var.http_authorization
    if not authorization or string.sub(authorization, 1, 7) ~= "Bearer " then return ngx.exit(401) end
    local token = string.sub(authorization, 8)
    local now = time()
    local user = cache and cache:get(token)
    if not user then
      user = verify(token, secret, audience, now)
      if not user then return ngx.exit(401) end
      if cache then cache:set(token, user) end
    elseif user.exp <= now then
      return ngx.exit(401)
    end
    var.sub = user.sub
    var.side = (stages[user.sub] or "legacy") == "legacy" and "legacy" or "service"
  end
end

return { open = open }
