"""Drives the node with the official Python client: python smoke.py URL"""

import sys

from elasticsearch import BadRequestError, ConflictError, Elasticsearch, NotFoundError, helpers

INDEX = "clients-python"
COUNT = 2500


def documents(change=""):
    for n in range(COUNT):
        yield {"_index": INDEX, "_id": f"doc-{n}", "title": f"Document {n}{change}", "n": n, "even": n % 2 == 0}


def expect(what, got, expected):
    assert got == expected, f"{what}: expected {expected!r}, got {got!r}"
    print(f"python: {what}: ok")


def main(url):
    client = Elasticsearch(url, request_timeout=60)
    # info() is also the product check: the client refuses a server that is no Elasticsearch.
    expect("info", client.info()["tagline"], "You Know, for Search")
    expect("ping", client.ping(), True)
    client.options(ignore_status=404).indices.delete(index=INDEX)
    client.indices.create(
        index=INDEX,
        settings={"number_of_replicas": 0},
        mappings={"properties": {"title": {"type": "text"}, "n": {"type": "long"}, "even": {"type": "boolean"}}},
    )
    expect("exists", bool(client.indices.exists(index=INDEX)), True)
    expect("mapping", client.indices.get_mapping(index=INDEX)[INDEX]["mappings"]["properties"]["n"], {"type": "long"})
    expect("health", client.cluster.health(index=INDEX, wait_for_status="green")["status"], "green")

    expect("helpers.bulk", helpers.bulk(client, documents(), chunk_size=500, refresh=True), (COUNT, []))
    done = list(helpers.parallel_bulk(client, documents(" again"), thread_count=4, chunk_size=300))
    expect("helpers.parallel_bulk", (len(done), all(ok for ok, _ in done)), (COUNT, True))
    client.indices.refresh(index=INDEX)
    expect("count", client.count(index=INDEX)["count"], COUNT)

    answer = client.search(index=INDEX, query={"match": {"title": "17"}}, highlight={"fields": {"title": {}}})
    expect("search", answer["hits"]["hits"][0]["_id"], "doc-17")
    expect("highlight", answer["hits"]["hits"][0]["highlight"]["title"], ["Document <em>17</em> again"])
    answer = client.search(index=INDEX, size=0, aggs={"even": {"terms": {"field": "even"}}, "n": {"stats": {"field": "n"}}})
    expect("aggregations", answer["aggregations"]["n"]["max"], COUNT - 1.0)

    scanned = sorted(int(hit["_id"][4:]) for hit in helpers.scan(client, index=INDEX, size=400))
    expect("helpers.scan", scanned, list(range(COUNT)))

    pit, after, paged = client.open_point_in_time(index=INDEX, keep_alive="1m")["id"], None, []
    while True:
        page = client.search(pit={"id": pit, "keep_alive": "1m"}, size=700, sort=[{"n": "asc"}], search_after=after)
        if not page["hits"]["hits"]:
            break
        pit, after = page["pit_id"], page["hits"]["hits"][-1]["sort"]
        paged += [hit["_source"]["n"] for hit in page["hits"]["hits"]]
    expect("point in time", paged, list(range(COUNT)))
    expect("close point in time", client.close_point_in_time(id=pit)["succeeded"], True)

    client.update(index=INDEX, id="doc-1", doc={"title": "changed"}, refresh=True)
    got = client.get(index=INDEX, id="doc-1")
    expect("update", got["_source"], {"title": "changed", "n": 1, "even": False})
    try:
        client.index(index=INDEX, id="doc-1", document={}, if_seq_no=got["_seq_no"] - 1, if_primary_term=1)
        raise AssertionError("a stale sequence number was accepted")
    except ConflictError as error:
        expect("conflict", error.error, "version_conflict_engine_exception")
    try:
        client.get(index=INDEX, id="absent")
        raise AssertionError("an absent document was found")
    except NotFoundError as error:
        expect("not found", error.status_code, 404)
    try:
        client.search(index=INDEX, query={"no_such_query": {}})
        raise AssertionError("an unknown query was accepted")
    except BadRequestError as error:
        expect("bad request", error.error, "parsing_exception")
    expect("mget", [d["found"] for d in client.mget(index=INDEX, ids=["doc-2", "absent"])["docs"]], [True, False])
    answer = client.msearch(searches=[{"index": INDEX}, {"query": {"term": {"n": 3}}}, {"index": INDEX}, {"size": 0}])
    expect("msearch", [r["hits"]["total"]["value"] for r in answer["responses"]], [1, COUNT])
    failed = helpers.bulk(
        client,
        [{"_op_type": "create", "_index": INDEX, "_id": "doc-2"}, {"_op_type": "index", "_index": INDEX, "n": "many"}],
        raise_on_error=False,
    )
    expect("bulk errors", [e[op]["status"] for e in failed[1] for op in e], [409, 400])
    expect("delete by query", client.delete_by_query(index=INDEX, query={"term": {"even": True}}, refresh=True)["deleted"], COUNT // 2)
    expect("count after it", client.count(index=INDEX)["count"], COUNT // 2)
    client.indices.delete(index=INDEX)
    expect("deleted", bool(client.indices.exists(index=INDEX)), False)


main(sys.argv[1])
