"""How the tables of conversations are judged: each answer against those that are right, and against the list of those that
differ, which may name nothing that is in no table."""

import sys


class Verdicts:
    """`differs` has the answer and the reason of each claim that is answered in another way than the table says."""

    def __init__(self, differs, name=str):
        self.differs, self.name = differs, name
        self.unused = set(differs)
        self.count = self.wrong = 0

    def right(self, claim, right):
        """The answers that are right for a claim. One that differs must do so: its right answer is wrong here."""
        if claim not in self.differs:
            return right
        self.unused.discard(claim)
        return [self.differs[claim][0]]

    def judge(self, claim, answer, right):
        right = self.right(claim, right)
        is_right = answer in right
        self.count += 1
        self.wrong += not is_right
        wanted = "" if is_right else f"   WRONG: right is {' or '.join(map(self.name, right))}"
        print(f"{claim}: {self.name(answer)}{wanted}", flush=True)

    def end(self, what):
        """Says how many there were, and ends with 1 where one was wrong."""
        for claim in self.unused:
            self.wrong += 1
            print(f"WRONG: an answer that differs is listed for '{claim}', which is in no table")
        print(f"{self.count} {what}, {self.wrong} wrong")
        sys.exit(1 if self.wrong else 0)
