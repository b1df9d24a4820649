"""Photos through an encoder, shard by shard, each shard kept as soon as it is whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from babel_eval.images import ImageFeatures, Photo, PhotoSet, Problem, decode, encoded, photo_features
from babel_eval.store import SHARD, FeatureStore, image_key, is_no_room, joined
from babel_eval.team import Team

if TYPE_CHECKING:
    from babel_eval.encoders.base import Encoder

log = logging.getLogger(__name__)


def kept_features(
    encoder: Encoder,
    photos: PhotoSet,
    store: FeatureStore | None,
    team: Team | None = None,
    *,
    batch_size: int = 32,
    workers: int = 2,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
) -> ImageFeatures:
    """Give the features of photos: from the store where it has them, else encoded and kept there.

    Args:
      encoder: whose image tower it is.
      photos: the set, in its order.
      store: where features are kept; None: nowhere.
      team: the processes that share the work; None: this one alone.
      batch_size: photos in one pass of the tower.
      workers: threads that decode ahead of it.
      progress: show a bar.
      say: called with a line about what was encoded before.
    """
    from tqdm import tqdm

    run = PhotoRun(encoder, photos, store, team)
    leads = team is None or team.leads
    with tqdm(total=photos.n_photos, unit="photo", desc="photos", disable=not (progress and leads)) as bar:

        def show(done: int, total: int | None) -> None:
            bar.update(done - bar.n)

        images = run.features(batch_size=batch_size, workers=workers, progress=show)
    if run.n_kept and store is not None and say and leads:
        say(f"{run.n_kept} photos were encoded before; their features come from {store.folder}")
    return images


class PhotoRun:
    """One encoder on one photo set: what is kept already is read, the rest is encoded and kept."""

    def __init__(
        self, encoder: Encoder, photo_set: PhotoSet, store: FeatureStore | None, team: Team | None = None
    ) -> None:
        """Bring together what features are made from, and where they are kept (nowhere where `store` is None).

        Raises:
          ValueError: several processes without a store that they share.
        """
        self._encoder, self._photo_set, self._store, self._team = encoder, photo_set, store, team or Team()
        self._key = image_key(encoder, photo_set)
        self._shards: dict[int, ImageFeatures] = {}
        self._before: frozenset[int] = frozenset()
        self._end: int | None = None
        self._seen = 0
        self.n_kept = 0
        if self._team.size > 1 and store is None:
            raise ValueError(f"{self._team.size} processes need a store that they share")

    def features(
        self, *, batch_size: int = 32, workers: int = 2, progress: Callable[[int, int | None], None] | None = None
    ) -> ImageFeatures:
        """Give the features of the whole set, memory-mapped where they are kept.

        Args:
          batch_size: photos in one pass of the tower.
          workers: threads that decode ahead of it.
          progress: called with the number of photos that are done, and of all where that is known.

        Raises:
          RuntimeError: another process of the team left its share undone.
        """
        self._take_up()
        self._team.wait()  # all have seen the same shards before the first of them adds one
        self._before = frozenset(self._shards)
        if self._end is None or any(k not in self._shards for k in range(self._end)):
            self._encode(batch_size, workers, progress)
        self._team.wait()
        self._take_up(complete=True)
        whole = joined([self._shards[k] for k in range(self._end or 0)])
        problems = (*self._photo_set.problems, *whole.problems)
        return ImageFeatures(whole.ids, whole.class_index, whole.features, problems, whole.kind)

    def _take_up(self, *, complete: bool = False) -> None:
        """Read the shards that are kept; of a stream, those before the first that is missing."""
        n_photos = self._photo_set.n_photos
        if n_photos is not None:
            self._end = max(1, -(-n_photos // SHARD))
        number = 0
        while self._store is not None and (self._end is None or number < self._end):
            shard = None if number in self._shards else self._store.shard(self._key, number)
            if shard is not None and not complete and self._can_be_read_now(number, shard.images):
                log.warning("photos of shard %d that could not be read now can; it is made again", number)
            elif shard is not None:
                self._shards[number] = shard.images
                self.n_kept += 0 if complete else len(shard.images.ids) + len(shard.images.problems)
                if shard.is_last:
                    self._end = number + 1
            elif number not in self._shards and self._end is None:
                break
            number += 1
        if complete and (self._end is None or any(k not in self._shards for k in range(self._end))):
            raise RuntimeError("a process of this run did not keep its share of the photos; run again to go on")

    def _can_be_read_now(self, number: int, images: ImageFeatures) -> bool:
        """Say whether one of a kept shard's unreadable photos opens now; a stream's photos are not asked for again."""
        unreadable = {problem.photo for problem in images.problems}
        photos = self._photo_set.photos[number * SHARD : (number + 1) * SHARD] if unreadable else ()
        return any(_is_readable(photo) for photo in photos if photo.id in unreadable)

    def _encode(self, batch_size: int, workers: int, progress: Callable[[int, int | None], None] | None) -> None:
        """Encode this process's share of the shards that are missing."""
        if self._store is not None and self._team.leads:
            encoder, photos = self._encoder, self._photo_set
            self._store.describe(self._key, {"model": encoder.model, "photos": photos.name, "dim": encoder.dim})
        wanted = self._wanted()
        done, pending = self.n_kept, _Pending(self._encoder.dim)
        number = next(wanted, None)
        for photos_, features, bad in encoded(self._encoder, self._items(), batch_size, workers, cut=SHARD):
            pending.add(photos_, features, bad)
            done += len(photos_) + len(bad)
            if progress:
                progress(done, self._photo_set.n_photos)
            if pending.n == SHARD:
                self._keep(number, pending.take(), is_last=self._end is not None and number == self._end - 1)
                number = next(wanted, None)
        if self._end is None:  # a stream ends where it ends
            self._end = self._seen // SHARD + 1
        if number is not None and number == self._end - 1:
            self._keep(number, pending.take(), is_last=True)

    def _missing(self) -> Iterator[int]:
        number = 0
        while self._end is None or number < self._end:
            if number not in self._before:
                yield number
            number += 1

    def _wanted(self) -> Iterator[int]:
        """Give the missing shards that are this process's, by their place: the same whenever it is asked."""
        return islice(self._missing(), self._team.rank, None, self._team.size)

    def _items(self) -> Iterator[Photo | Problem]:
        """Give the photos of this process's missing shards, in order."""
        if self._photo_set.stream is None:
            photos = self._photo_set.photos
            return chain.from_iterable(iter(photos[k * SHARD : (k + 1) * SHARD]) for k in list(self._wanted()))
        return self._stream_items()

    def _stream_items(self) -> Iterator[Photo | Problem]:
        wanted, start = self._wanted(), next(self._missing()) * SHARD
        mine, self._seen = next(wanted), start
        for item in self._photo_set.items(start):
            number = self._seen // SHARD
            self._seen += 1
            while mine < number:
                mine = next(wanted)
            if mine == number:
                yield item

    def _keep(self, number: int | None, images: ImageFeatures, *, is_last: bool) -> None:
        assert number is not None, "a shard that nobody asked for"  # noqa: S101
        self._shards[number] = images
        if self._store is None:
            return
        try:
            self._store.save_shard(self._key, number, images, is_last=is_last)
        except OSError as error:
            if not is_no_room(error) or self._team.size > 1:
                raise
            log.warning("no room in %s: features of photos are no longer kept, the run goes on", self._store.folder)
            self._store = None
            return
        kept = self._store.shard(self._key, number)
        if kept is not None:
            self._shards[number] = kept.images


def _is_readable(photo: Photo) -> bool:
    try:
        decode(photo)
    except ValueError:
        return False
    return True


class _Pending:
    """What of a shard is encoded so far."""

    def __init__(self, dim: int) -> None:
        self._dim, self.n = dim, 0
        self._photos: list[Photo] = []
        self._features: list[np.ndarray] = []
        self._problems: list[Problem] = []

    def add(self, photos: list[Photo], features: np.ndarray, problems: list[Problem]) -> None:
        self._photos += photos
        self._features.append(features)
        self._problems += problems
        self.n += len(photos) + len(problems)

    def take(self) -> ImageFeatures:
        features = np.concatenate([np.zeros((0, self._dim), dtype=np.float32), *self._features])
        images = photo_features(self._photos, features, self._problems)
        self.__init__(self._dim)  # type: ignore[misc]
        return images
