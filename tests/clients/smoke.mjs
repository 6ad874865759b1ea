// Drives the node with the official JavaScript client: node smoke.mjs URL
import assert from "node:assert/strict";
import { createRequire } from "node:module";

// Packages live under target/, not beside this file.
const { Client, errors } = createRequire(process.env.CLIENT_MODULES + "/")("@elastic/elasticsearch");

const index = "clients-javascript";
const count = 2500;
const client = new Client({ node: process.argv[2], compression: true });

function expect(what, got, expected) {
  assert.deepEqual(got, expected, what);
  console.log(`javascript: ${what}: ok`);
}

const documents = Array.from({ length: count }, (_, n) => ({ id: `doc-${n}`, title: `Document ${n}`, n }));

expect("info", (await client.info()).tagline, "You Know, for Search");
expect("ping", await client.ping(), true);
await client.indices.delete({ index }, { ignore: [404] });
await client.indices.create({ index, mappings: { properties: { title: { type: "text" }, n: { type: "long" } } } });
expect("exists", await client.indices.exists({ index }), true);

const loaded = await client.helpers.bulk({
  datasource: documents,
  refreshOnCompletion: index,
  flushBytes: 50_000,
  onDocument: (document) => [{ index: { _index: index, _id: document.id } }, document],
  onDrop: (dropped) => assert.fail(JSON.stringify(dropped)),
});
expect("helpers.bulk", [loaded.successful, loaded.failed], [count, 0]);
expect("count", (await client.count({ index })).count, count);

const found = await client.search({ index, query: { match: { title: "17" } }, highlight: { fields: { title: {} } } });
expect("search", found.hits.hits.map((hit) => [hit._id, hit.highlight.title]), [["doc-17", ["Document <em>17</em>"]]]);

const scrolled = [];
for await (const document of client.helpers.scrollDocuments({ index, size: 400, query: { match_all: {} } })) {
  scrolled.push(document.n);
}
expect("helpers.scrollDocuments", scrolled.sort((a, b) => a - b), documents.map((document) => document.n));

const searches = client.helpers.msearch();
const [one, all] = await Promise.all([
  searches.search({ index }, { query: { term: { n: 3 } } }),
  searches.search({ index }, { size: 0 }),
]);
searches.stop();
expect("helpers.msearch", [one.body.hits.total.value, all.body.hits.total.value], [1, count]);

const { _seq_no, _primary_term } = await client.get({ index, id: "doc-1" });
await client.index({ index, id: "doc-1", document: { n: 1, title: "changed" }, if_seq_no: _seq_no, if_primary_term: _primary_term });
await assert.rejects(
  client.index({ index, id: "doc-1", document: {}, if_seq_no: _seq_no, if_primary_term: _primary_term }),
  (error) => error instanceof errors.ResponseError && error.statusCode === 409,
);
expect("conflict", true, true);
await client.update({ index, id: "doc-1", doc: { more: true } });
expect("update", (await client.get({ index, id: "doc-1" }))._source, { n: 1, title: "changed", more: true });
await assert.rejects(client.get({ index, id: "absent" }), (error) => error.statusCode === 404);
await client.delete({ index, id: "doc-1", refresh: "wait_for" });
expect("delete", (await client.count({ index })).count, count - 1);
await client.indices.delete({ index });
expect("deleted", await client.indices.exists({ index }), false);
await client.close();
