"""Put the lines of NDJSON files into a Kafka topic: a line is a message, the user of the event its key.

usage: produce.py wait BROKERS
       produce.py create BROKERS TOPIC
       produce.py fill BROKERS TOPIC LANDING COUNT
       produce.py rate BROKERS TOPIC LANDING COUNT PER_SECOND LOG

`wait` returns when the broker answers. `create` makes a topic of four partitions, `fill` does too and produces as fast as it can. `rate`
produces evenly; every event gets the fields `sequence` (0, 1, 2, ...) and `produced_ms`, and LOG the times of all
(64-bit integers, milliseconds since 1970).
"""

import array
import glob
import itertools
import re
import sys
import time

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

KEY = re.compile(rb'"evaluation_context":\s*\{"key":\s*"([^"]*)"')
PARTITIONS = 4
PATIENCE = 60


def wait(brokers: str) -> AdminClient:
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
    end = time.monotonic() + PATIENCE
    while True:
        try:
            admin.list_topics(timeout=1)
            return admin
        except KafkaException:
            if time.monotonic() > end:
                raise


def create(brokers: str, topic: str) -> None:
    admin = wait(brokers)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
    while len(admin.list_topics(timeout=10).topics.get(topic, NewTopic(topic)).partitions or {}) < PARTITIONS:
        time.sleep(0.1)


def lines(landing: str):
    files = sorted(glob.glob(landing + "/events/**/*.json", recursive=True))
    for path in itertools.cycle(files):
        with open(path, "rb") as file:
            for line in file:
                yield line.rstrip(b"\n")


def put(producer: Producer, topic: str, value: bytes) -> None:
    key = KEY.search(value)
    while True:
        try:
            producer.produce(topic, value, key.group(1) if key else None)
            return
        except BufferError:
            producer.poll(0.1)


def fill(brokers: str, topic: str, landing: str, count: int) -> None:
    create(brokers, topic)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50, "acks": "1", "batch.size": 1_000_000,
                         "queue.buffering.max.messages": 500_000, "queue.buffering.max.kbytes": 500_000})
    size = 0
    for number, line in enumerate(itertools.islice(lines(landing), count)):
        put(producer, topic, line)
        size += len(line)
        if number % 5000 == 0:
            producer.poll(0)
    producer.flush()
    print(f"produced {count} messages of {size / max(count, 1):.0f} bytes", file=sys.stderr)


def rate(brokers: str, topic: str, landing: str, count: int, per_second: float, log: str) -> None:
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5, "acks": "1"})
    source, times, latest = lines(landing), array.array("q"), 0.0
    start = time.time()
    while len(times) < count:
        due = min(count, int((time.time() - start) * per_second))
        while len(times) < due:
            now = time.time_ns() // 1_000_000
            put(producer, topic, next(source)[:-1] + b',"sequence":%d,"produced_ms":%d}' % (len(times), now))
            times.append(now)
        producer.poll(0)
        latest = max(latest, time.time() - start - len(times) / per_second)
        time.sleep(0.01)
    producer.flush()
    with open(log, "wb") as file:
        times.tofile(file)
    print(f"produced {count} messages, at most {latest * 1000:.0f} ms behind", file=sys.stderr)


def main() -> None:
    match sys.argv[1:]:
        case ["wait", brokers]:
            wait(brokers)
        case ["create", brokers, topic]:
            create(brokers, topic)
        case ["fill", brokers, topic, landing, count]:
            fill(brokers, topic, landing, int(count))
        case ["rate", brokers, topic, landing, count, per_second, log]:
            rate(brokers, topic, landing, int(count), float(per_second), log)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
