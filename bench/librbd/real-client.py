#!/usr/bin/python3
"""Clone in Ceph, read through librbd and its parent_cache plugin: each byte is compared with a file.

   real-client.py CONF SOCKET POOL IMAGE FILE SECONDS THREADS

SOCKET is a path, or "-" for librbd alone. One line of JSON tells what came. The image is closed and opened again
every few seconds, as guests come and go.
"""
import json, random, sys, threading, time
import rados, rbd

conf, socket, pool, image, path, seconds, threads = sys.argv[1:8]
options = {'rbd_cache': 'false', 'client_mount_timeout': '60'}
if socket != '-':
    options.update(rbd_parent_cache_enabled='true', rbd_plugins='parent_cache', immutable_object_cache_sock=socket)
cluster = rados.Rados(conffile=conf, conf=options)
cluster.connect()
ioctx = cluster.open_ioctx(pool)
counts = {'reads': 0, 'wrong': 0, 'errors': 0, 'opens': 0}
lock = threading.Lock()
end = time.monotonic() + float(seconds)


def work(seed):
    chance = random.Random(seed)
    mine = {'reads': 0, 'wrong': 0, 'errors': 0, 'opens': 0}
    with open(path, 'rb') as expected:
        while time.monotonic() < end:
            with rbd.Image(ioctx, image, read_only=True) as clone:
                mine['opens'] += 1
                size = clone.size()
                until = min(end, time.monotonic() + 5)
                while time.monotonic() < until:
                    length = chance.choice((4096, 4096, 65536, 1048576))
                    offset = chance.randrange(size // length) * length
                    try:
                        got = clone.read(offset, length)
                    except rbd.Error as error:
                        print(error, file=sys.stderr)
                        mine['errors'] += 1
                        continue
                    mine['reads'] += 1
                    expected.seek(offset)
                    if got != expected.read(length):
                        print('wrong bytes at', offset, length, file=sys.stderr)
                        mine['wrong'] += 1
    with lock:
        for key, value in mine.items():
            counts[key] += value


workers = [threading.Thread(target=work, args=(k,)) for k in range(int(threads))]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
ioctx.close()
cluster.shutdown()
print(json.dumps(counts))
