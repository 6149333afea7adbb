/**
 * The hit engine alone: native sessions over a data file that is resident whole, with the smallest filesystem around it.
 *
 *   node build/bench/hit-engine-server.js FILE MOUNTPOINT THREADS
 *
 * Shows FILE as MOUNTPOINT/image, says `ready`, and ends when it is unmounted. Publishes without landing: FILE is the data file.
 */
import { statSync } from 'node:fs'
import { blockBytesDefault, storeThreads } from '../src/limits.ts'
import { loadAddon } from '../src/native/addon.ts'
import { mountTiny } from '../test/fixtures/tiny-fuse.ts'

const [path, mountpoint, threads] = process.argv.slice(2)
if (!path || !mountpoint || !threads) throw new Error('usage: hit-engine-server FILE MOUNTPOINT THREADS')

const addon = loadAddon()
const engine = addon.createEngine({ storeThreads })
const sizeBytes = statSync(path).size
const file = engine.openFile(path, sizeBytes, blockBytesDefault)
const resident = new BigUint64Array(file.table)
for (let object = 0; object < resident.length / 2; object++) Atomics.store(resident, object * 2, ~0n)

// As the daemon does: the clock of recency ticks while reads go on.
let tick = 0
const clock = setInterval(() => engine.setTick(++tick), 100)

const onMiss = () => null
const fuse = mountTiny({ addon, engine, mountpoint, file, sizeBytes, threads: Number(threads), onMiss })
console.log('ready')
await fuse.ended
clearInterval(clock)
await fuse.close()
file.close()
await engine.close()
