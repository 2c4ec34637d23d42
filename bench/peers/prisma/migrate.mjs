// The script that the platform's own team would write: one Prisma client per schema, records one
// after the other.  node migrate.mjs OLD NEW create|many
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { PrismaLibSql } from "@prisma/adapter-libsql";
import { PrismaClient as OldClient } from "./generated/old/index.js";
import { PrismaClient as NewClient } from "./generated/unified/index.js";

const [oldPath, newPath, mode] = process.argv.slice(2);
const options = { timestampFormat: "unixepoch-ms" };
const before = new OldClient({ adapter: new PrismaLibSql({ url: `file:${oldPath}` }, options) });
const after = new NewClient({ adapter: new PrismaLibSql({ url: `file:${newPath}` }, options) });
const plan = JSON.parse(readFileSync(new URL("./generated/plan.json", import.meta.url)));

const BATCH = mode === "many" ? 1000 : 100;
let written = 0;

async function write(table, rows) {
  for (let start = 0; start < rows.length; start += BATCH) {
    const batch = rows.slice(start, start + BATCH);
    if (mode === "many") {
      await after[table].createMany({ data: batch });
    } else {
      await after.$transaction(
        async (tx) => {
          for (const data of batch) await tx[table].create({ data });
        },
        { timeout: 600_000 },
      );
    }
    written += batch.length;
  }
}

const patients = await before.patients.findMany();
const children = await before.children.findMany();
const links = await before.parent_children.findMany();
const consents = await before.consent_grants.findMany();
const parents = await before.parents.findMany();
const users = await before.users.findMany();

const person = new Map(patients.map((p) => [p.id, randomUUID()]));
const patientById = new Map(patients.map((p) => [p.id, p]));
const genderOfChild = new Map();
for (const child of children) {
  const linked = child.linked_patient_id;
  if (child.gender && !genderOfChild.has(linked)) genderOfChild.set(linked, child.gender);
  person.set(child.id, person.get(linked) ?? randomUUID());
}
const owners = new Set(parents.flatMap((p) => [p.id, p.user_id]));

const cell = {
  copy: (row, [, name, otherwise]) => row[name] ?? otherwise,
  person: (row, [, name]) => person.get(row[name]),
  owner: (row, [, name]) => (owners.has(row[name]) ? "parent" : "clinician"),
  constant: (row, [, value]) => value,
};

function made(columns, row) {
  const record = {};
  for (const [name, word] of Object.entries(columns)) {
    const value = cell[word[0]](row, word);
    if (value !== undefined && value !== null) record[name] = value;
  }
  return record;
}

await write("users", users.map((row) => made(plan.users.columns, row)));
await write("parents", parents.map((row) => made(plan.parents.columns, row)));

const standalone = children.filter((c) => !patientById.has(c.linked_patient_id));
await write("persons", [
  ...patients.map((p) => ({
    ...made(plan.patients.columns, p),
    id: person.get(p.id),
    udid_number: p.udid_number || null,
    gender: p.gender || genderOfChild.get(p.id) || "unknown",
  })),
  ...standalone.map((c) => ({
    ...made(plan.children.columns, c),
    id: person.get(c.id),
    gender: c.gender || "unknown",
  })),
]);

const views = new Map();
for (const c of children) {
  const key = `${person.get(c.id)} ${c.parent_id}`;
  if (!views.has(key)) {
    views.set(key, {
      person_id: person.get(c.id),
      parent_id: c.parent_id,
      relationship_type: "parent",
      medical_history: c.medical_history,
      current_concerns: c.current_concerns,
      developmental_notes: c.developmental_notes,
      added_at: c.created_at,
      updated_at: c.updated_at,
    });
  }
}
for (const link of links) {
  const key = `${person.get(link.patient_id)} ${link.parent_id}`;
  const view = views.get(key) ?? {
    person_id: person.get(link.patient_id),
    parent_id: link.parent_id,
    updated_at: link.added_at,
  };
  view.relationship_type = link.relationship_type ?? "parent";
  view.added_at = link.added_at ?? view.added_at;
  view.flagged = link.is_primary;
  views.set(key, view);
}
const flagged = new Set();
const ordered = [...views.values()].sort((a, b) => Number(b.flagged ?? 0) - Number(a.flagged ?? 0));
await write(
  "parent_child_views",
  ordered.map(({ flagged: _, ...view }) => {
    const primary = !flagged.has(view.person_id);
    flagged.add(view.person_id);
    return { ...view, id: randomUUID(), is_primary_caregiver: primary, reminder_preferences: "{}" };
  }),
);

await write(
  "clinician_patient_views",
  patients.map((p) => ({
    ...made(plan.clinician_patient_views.columns, p),
    id: randomUUID(),
    person_id: person.get(p.id),
  })),
);

const asked = new Set(consents.map((g) => `${person.get(g.patient_id)} ${g.parent_id}`));
const grants = consents.map((g) => ({
  ...made(plan.consent_grants.columns, g),
  id: randomUUID(),
  grantor_type: "parent",
  grantee_type: "clinician",
  token_expires_at: g.status === "pending" ? g.expires_at : null,
}));
const emailOfUser = new Map(users.map((u) => [u.id, u.email]));
const userOfParent = new Map(parents.map((p) => [p.id, p.user_id]));
for (const c of children) {
  const patient = patientById.get(c.linked_patient_id);
  const key = `${person.get(c.id)} ${c.parent_id}`;
  if (!patient || patient.deleted_at || asked.has(key)) continue;
  asked.add(key);
  const email = emailOfUser.get(userOfParent.get(c.parent_id)) ?? "";
  grants.push({
    id: randomUUID(),
    grantor_type: "parent",
    grantor_id: c.parent_id,
    grantee_type: "clinician",
    grantee_id: patient.clinician_id,
    person_id: person.get(c.id),
    permissions: plan.permissions,
    access_level: "view",
    status: "active",
    granted_at: new Date(),
    activated_at: new Date(),
    granted_by_name: email,
    granted_by_email: email,
  });
}
await write("access_grants", grants);

for (const { source, target, columns } of plan.related) {
  const rows = await before[source].findMany();
  await write(target, rows.map((row) => made(columns, row)));
}

console.log(written);
await before.$disconnect();
await after.$disconnect();
