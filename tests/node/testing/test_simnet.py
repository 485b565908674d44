"""The simulated network: the same seed, the same run; faults on request; time that costs nothing."""

from troth_node.testing.simnet import PPM, Link, SimNet


def listening(net, *nodes):
    """What arrives, as (time, source, target, payload)."""
    heard = []
    for node in nodes:
        net.attach(node, lambda source, payload, node=node: heard.append((net.now_ms, source, node, payload)))
    return heard


def test_the_same_seed_gives_the_same_run():
    runs = []
    for _ in range(2):
        net = SimNet(7, Link(1, 50, drop_ppm=PPM // 3, duplicate_ppm=PPM // 3))
        heard = listening(net, "a", "b")
        for number in range(50):
            net.send("a", "b", number)
        net.run(1_000)
        runs.append(heard)
    assert runs[0] == runs[1]
    assert 20 < len(runs[0]) < 80
    assert [number for *_, number in runs[0]] != sorted(number for *_, number in runs[0])


def test_what_is_due_together_runs_in_the_order_of_asking():
    net, order = SimNet(1), []
    for word in ("first", "second", "third"):
        net.at(5, lambda word=word: order.append(word))
    net.run(5)
    assert order == ["first", "second", "third"]


def test_time_stops_where_it_was_told_and_at_what_was_waited_for():
    net = SimNet(1)
    net.at(100, lambda: None)
    net.at(200, lambda: None)
    assert net.run(500, lambda: net.now_ms >= 100)
    assert net.now_ms == 100
    assert not net.run(150, lambda: net.now_ms >= 200)
    assert net.now_ms == 150
    assert not net.run(900)
    assert net.now_ms == 900


def test_a_partition_also_stops_what_is_under_way():
    net = SimNet(1)
    heard = listening(net, "a", "b", "c", "d")
    net.send("a", "b", "under way")
    net.partition(["a"], ["b"])
    for source, target in (("a", "c"), ("c", "d"), ("b", "a")):
        net.send(source, target, "cut?")
    net.run(1_000)
    assert [place[1:3] for place in heard] == [("c", "d")]
    net.heal()
    net.send("a", "b", "again")
    net.run(2_000)
    assert heard[-1][1:] == ("a", "b", "again")


def test_one_link_can_be_worse_than_the_others_until_all_are_set():
    net = SimNet(1, Link(3, 3))
    heard = listening(net, "a", "b")
    net.set_link(Link(7, 7, duplicate_ppm=PPM), "a", "b")
    net.send("a", "b", 1)
    net.send("b", "a", 2)
    net.run(10)
    assert heard == [(3, "b", "a", 2), (7, "a", "b", 1), (7, "a", "b", 1)]
    net.set_link(Link(drop_ppm=PPM))
    net.send("a", "b", 3)
    net.run(1_000)
    assert len(heard) == 3


def test_a_node_that_is_down_hears_nothing():
    net = SimNet(1)
    heard = listening(net, "a")
    net.detach("a")
    net.detach("never there")
    net.send("b", "a", "hello")
    net.run(1_000)
    assert heard == []
