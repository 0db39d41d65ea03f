-- One JSON document about the exposed schemas, $1. The search path is empty: type names come out qualified.
-- A column's type is the base type of its domain, without length or precision: what a text value is cast to.
with recursive exposed as (
  select n.oid, n.nspname from pg_namespace n where n.nspname = any ($1::text[])
),
base (oid, type_oid) as (               -- every domain down to what lies beneath
  select t.oid, t.oid from pg_type t where t.typtype <> 'd'
  union all
  select t.oid, b.type_oid from pg_type t join base b on b.oid = t.typbasetype where t.typtype = 'd'
),
relation as (
  select c.oid, c.relname, c.relkind, e.nspname, c.reltype,
    -- bits of pg_relation_is_updatable: 4 update, 8 insert
    case when c.relkind in ('v', 'f') then pg_relation_is_updatable(c.oid, true) else 28 end as events
  from pg_class c join exposed e on e.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
),
columns_of as (
  select a.attrelid, json_agg(json_build_object(
      'name', a.attname, 'type', format_type(b.type_oid, -1),
      'default', case
        when a.attgenerated <> '' then null
        when a.attidentity <> '' then
          -- not pg_get_serial_sequence: it wants USAGE on the schema
          (select format('nextval(%L::regclass)', s.objid::regclass) from pg_depend s
           where s.classid = 'pg_class'::regclass and s.refclassid = 'pg_class'::regclass
             and s.refobjid = a.attrelid and s.refobjsubid = a.attnum and s.deptype = 'i')
        else coalesce(pg_get_expr(d.adbin, d.adrelid), t.typdefault) end) order by a.attnum) as columns,
    -- a domain with a cast to or from json or text is shown in another form than its base type's
    bool_or(t.typtype = 'd' and exists (select from pg_cast k where k.castfunc <> 0
      and (k.castsource = t.oid or k.casttarget = t.oid))) as represented
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
    and (c.relnamespace in (select oid from exposed) or c.relkind = 'c')
  join base b on b.oid = a.atttypid
  join pg_type t on t.oid = a.atttypid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attnum > 0 and not a.attisdropped
  group by a.attrelid
),
keys as (
  select k.conrelid, k.contype,
    array(select a.attname::text from unnest(k.conkey) with ordinality u(num, i)
          join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num order by u.i) as columns
  from pg_constraint k where k.contype in ('p', 'u')
)
select json_build_object(
  'tables', (select coalesce(json_agg(json_build_object(
      'schema', r.nspname, 'name', r.relname, 'kind', r.relkind::text,
      'represented', coalesce(c.represented, false), 'insertable', r.events & 8 <> 0, 'updatable', r.events & 4 <> 0,
      'columns', coalesce(c.columns, '[]'::json),
      'primary_key', coalesce((select to_json(k.columns) from keys k where k.conrelid = r.oid and k.contype = 'p'), '[]'::json),
      'uniques', coalesce((select json_agg(k.columns) from keys k where k.conrelid = r.oid), '[]'::json))), '[]'::json)
    from relation r left join columns_of c on c.attrelid = r.oid),
  'foreign_keys', (select coalesce(json_agg(json_build_object(
      'name', k.conname, 'schema', r.nspname, 'table', r.relname, 'foreign_schema', f.nspname, 'foreign_table', f.relname,
      'columns', array(select a.attname::text from unnest(k.conkey) with ordinality u(num, i)
                       join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num order by u.i),
      'foreign_columns', array(select a.attname::text from unnest(k.confkey) with ordinality u(num, i)
                       join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num order by u.i))
      order by k.conname), '[]'::json)
    from pg_constraint k join relation r on r.oid = k.conrelid join relation f on f.oid = k.confrelid
    where k.contype = 'f' and k.conparentid = 0),
  'functions', (select coalesce(json_agg(json_build_object(
      'schema', e.nspname, 'name', p.proname, 'volatile', p.provolatile = 'v', 'returns_set', p.proretset,
      'returns', format_type(p.prorettype, -1), 'defaults', p.pronargdefaults,
      'arguments', (select coalesce(json_agg(json_build_object(
            'name', coalesce(p.proargnames[u.i::int], ''), 'type', format_type(b.type_oid, -1),
            'mode', coalesce(p.proargmodes[u.i::int]::text, 'i')) order by u.i), '[]'::json)
          from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality u(type_oid, i)
          join base b on b.oid = u.type_oid),
      'result_schema', rn.nspname, 'result_table', rc.relname, 'result_columns', rcols.columns,
      'over_schema', case when p.pronargs = 1 then over_n.nspname end,
      'over_table', case when p.pronargs = 1 then over_c.relname end)), '[]'::json)
    from pg_proc p
    join exposed e on e.oid = p.pronamespace
    join base rb on rb.oid = p.prorettype
    join pg_type rt on rt.oid = rb.type_oid
    left join pg_class rc on rc.oid = rt.typrelid and rt.typtype = 'c'
    left join pg_namespace rn on rn.oid = rc.relnamespace
    left join columns_of rcols on rcols.attrelid = rc.oid
    left join pg_type over_t on over_t.oid = p.proargtypes[0] and over_t.typtype = 'c'
    left join pg_class over_c on over_c.oid = over_t.typrelid
    left join pg_namespace over_n on over_n.oid = over_c.relnamespace
    where p.prokind = 'f' and p.prorettype <> 'trigger'::regtype and p.prorettype <> 'event_trigger'::regtype)
)::text
