// Drives the real supabase-js against the stand-in; prints one JSON object that a pytest test checks.
// Arguments: base URL, publishable key, then JSON {users: {name: {email, password}}, submission, order}.
import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";

const [url, key, given] = process.argv.slice(2);
const { users, submission, orders } = JSON.parse(given);
const results = {};

const client = () =>
  createClient(url, key, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: WebSocket },
  });

// What a caller sees of an answer: data, count, status, and of an error its code.
const seen = ({ data, count, status, error }) => ({
  data: data ?? null,
  count: count ?? null,
  status,
  code: error?.code ?? null,
});

const signedOut = client();
results.anonymous = seen(await signedOut.from("lab_orders").select("id"));

const wrong = await signedOut.auth.signInWithPassword({ ...users.clinician, password: "no" });
results.wrong_password = { code: wrong.error?.code, status: wrong.error?.status };

const clinician = client();
const login = await clinician.auth.signInWithPassword(users.clinician);
results.login = {
  error: login.error?.message ?? null,
  email: login.data.user?.email,
  role: login.data.user?.role,
  expires_in: login.data.session?.expires_in,
};
results.user = (await clinician.auth.getUser()).data.user?.email;
const claims = await clinician.auth.getClaims();
results.claims = { sub: claims.data?.claims.sub === login.data.user?.id, aud: claims.data?.claims.aud };

const table = () => clinician.from("lab_orders");
results.filters = seen(
  await table()
    .select("id, order_number, status")
    .in("id", orders)
    .neq("status", "nonsense")
    .or("priority.gte.1,and(status.eq.draft,vendor.is.null)")
    .order("order_number", { ascending: false, nullsFirst: false }),
);
results.embeds = seen(
  await table()
    .select("id, submission:submissions!inner(id, status), lab_order_events(event_type)")
    .eq("id", orders[0]),
);
results.range = seen(await table().select("id", { count: "exact" }).order("id").range(0, 1));
results.head = seen(await table().select("*", { count: "exact", head: true }));
results.single = seen(await table().select("id").eq("id", orders[0]).single());
results.single_of_none = seen(
  await table().select("id").eq("id", "00000000-0000-4000-8000-000000000000").single(),
);
results.maybe_single = seen(
  await table().select("id").eq("id", "00000000-0000-4000-8000-000000000000").maybeSingle(),
);
results.csv = (await table().select("id").eq("id", orders[0]).csv()).data;
results.json_path = seen(await clinician.from("submissions").select("id, address->>city").eq("id", submission));
results.bad_uuid = seen(await table().select("id").eq("id", "1"));
results.unknown_table = seen(await clinician.from("nobody").select("id"));

const inserted = await table()
  .insert({ submission_id: submission, ordered_by: login.data.user.id, test_code: "FBC", price: 12.5 })
  .select("id, status, price, origin")
  .single();
results.insert = seen(inserted);
const id = inserted.data.id;
results.insert_minimal = seen(
  await table().insert({ submission_id: submission, ordered_by: login.data.user.id, test_code: "TSH" }),
);
results.insert_bulk = seen(
  await table()
    .insert([
      { submission_id: submission, ordered_by: login.data.user.id, test_code: "A" },
      { submission_id: submission, ordered_by: login.data.user.id, test_code: "B" },
    ])
    .select("test_code")
    .order("test_code"),
);
results.update = seen(await table().update({ status: "ordered" }).eq("id", id).select("id, status, row_version"));
results.upsert = seen(
  await table()
    .upsert({ id, submission_id: submission, ordered_by: login.data.user.id, test_code: "CRP" })
    .select("id, test_code"),
);
results.check_violated = seen(await table().update({ priority: 9 }).eq("id", id));
results.delete_without_policy = seen(await table().delete().eq("id", id).select("id"));

const plan = await clinician
  .from("action_plans")
  .insert({ submission_id: submission, title: "node", storage_path: "node/plan.pdf" })
  .select("id")
  .single();
results.delete = seen(await clinician.from("action_plans").delete().eq("id", plan.data.id).select("title"));
results.rpc_refused = seen(await clinician.rpc("banyan_mirror", { items: [] }));
results.rpc_unknown = seen(await clinician.rpc("nobody", {}));

const patient = client();
await patient.auth.signInWithPassword(users.patient);
const own = await patient.from("submissions").select("user_id");
const patientId = (await patient.auth.getUser()).data.user.id;
results.rls = {
  clinician: (await clinician.from("submissions").select("id", { count: "exact", head: true })).count,
  patient: own.data.length,
  all_own: own.data.every((row) => row.user_id === patientId),
};
results.rls_insert = seen(
  await patient.from("lab_orders").insert({ submission_id: submission, test_code: "X" }),
);

const bucket = clinician.storage.from("action-plans");
const content = "%PDF-1.4 öäü";
const upload = await bucket.upload("node/plan.pdf", new Blob([content], { type: "application/pdf" }));
const again = await bucket.upload("node/plan.pdf", Buffer.from("x"), { contentType: "application/pdf" });
const replaced = await bucket.upload("node/raw.pdf", Buffer.from(content), {
  contentType: "application/pdf",
  upsert: true,
});
const download = await bucket.download("node/plan.pdf");
const list = await bucket.list("node", { sortBy: { column: "name", order: "asc" } });
const signed = await bucket.createSignedUrl("node/plan.pdf", 60);
const fetched = await fetch(signed.data.signedUrl);
const removed = await bucket.remove(["node/raw.pdf"]);
const missing = await bucket.download("node/raw.pdf");
const refused = await client().storage.from("action-plans").download("node/plan.pdf");
results.storage = {
  upload: upload.data?.path,
  upload_again: again.error?.statusCode ?? again.error?.status,
  replaced: replaced.data?.path,
  same: (await download.data.text()) === content,
  type: download.data.type,
  list: list.data.map((each) => [each.name, each.metadata.mimetype, each.metadata.size]),
  signed: [fetched.status, (await fetched.text()) === content],
  removed: removed.data.map((each) => each.name),
  missing: missing.error !== null,
  refused: refused.error !== null,
};

const before = (await clinician.auth.getSession()).data.session;
const refreshed = await clinician.auth.refreshSession();
results.refresh = {
  rotated: refreshed.data.session.refresh_token !== before.refresh_token,
  works: (await table().select("id").limit(1)).status,
};
const reuse = await client().auth.refreshSession({ refresh_token: before.refresh_token });
results.reuse = { code: reuse.error?.code, status: reuse.error?.status };
const afterReuse = await client().auth.refreshSession({ refresh_token: refreshed.data.session.refresh_token });
results.session_after_reuse = afterReuse.error?.code;

const token = (await patient.auth.getSession()).data.session;
results.sign_out = (await patient.auth.signOut()).error;
results.refresh_after_sign_out = (
  await client().auth.refreshSession({ refresh_token: token.refresh_token })
).error?.code;
results.user_after_sign_out = (await client().auth.getUser(token.access_token)).error?.name;

const channel = clinician.channel("room");
results.realtime = await new Promise((resolve) => {
  channel.subscribe((status) => resolve(status));
});
await clinician.removeAllChannels();

process.stdout.write(JSON.stringify(results));
