"""Which rows there are, by number, and how often each was changed. A row's values follow from its number and version, so
that no row has to be kept."""
from ftest import data


class Live:
    def __init__(self, name, count):
        self.name, self.versions, self.next, self.round = name, dict.fromkeys(range(count), 0), count, 0

    def change(self, share):
        """Deletes, changes and adds this share of the rows each: answers the numbers of the three."""
        few, self.round = max(2, int(len(self.versions) * share)), self.round + 1
        picked = data.rng("change", self.name, self.round).sample(list(self.versions), 2 * few)
        gone, changed = picked[:few], picked[few:]
        new = list(range(self.next, self.next + few))
        self.next += few
        for number in gone:
            del self.versions[number]
        for number in changed:
            self.versions[number] += 1
        self.versions.update(dict.fromkeys(new, 0))
        return gone, changed, new
