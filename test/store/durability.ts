/**
 * The order data, sync, record as the kernel sees it: the system calls of a promotion, in their order. A sync that does
 * nothing looks like one that works, until the power fails.
 */
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { run } from '../fixtures/run.ts'

const fixture = (name: string) => new URL(`../fixtures/${name}.js`, import.meta.url).href

/** Promote one block of an image, twice, in a process with recorded system calls; and mark the begin of each. */
const body = (directory: string) => `
  import { appendFileSync } from 'node:fs'
  import { MemoryOrigin } from '${fixture('memory-origin')}'
  import { forever as signal, openRooms } from '${fixture('rooms')}'
  const origin = new MemoryOrigin()
  origin.put('a', 100_000)
  const rooms = await openRooms({ directory: '${directory}', origin })
  const { image } = await rooms.cache.lookup(null, 'a', { signal })
  const stored = await rooms.store.use(image)
  const mark = text => appendFileSync(process.env.SYNC_LOG, text + '\\n')
  for (const block of [1, 2]) {
    mark('promotion')
    if (await stored.writeBlocks(0, block, origin.bytes('a', block * 4096, 4096)) !== 'landed') throw new Error('not landed')
    await rooms.store.flush()
    mark('flushed')
  }
  mark('close')
  await rooms.close()
  console.log(image.id)`

/** Calls of `body`, an ES module, in the order in which the kernel has done them. */
async function callsOfProcess(top: string, body: string): Promise<{ readonly log: string; readonly output: string }> {
  const [library, log] = [join(top, 'sync-log.so'), join(top, 'log')]
  const flags = ['-std=c++20', '-O1', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC']
  await run('g++', ...flags, '-o', library, 'test/fixtures/sync-log.cc')
  const environment = ['--unset=NODE_OPTIONS', `SYNC_LOG=${log}`, `LD_PRELOAD=${library}`]
  const node = [process.execPath, '--input-type=module', '-e', body]
  const output = (await run('env', ...environment, ...node)).toString().trim()
  return { log: readFileSync(log, 'utf8'), output }
}

t.test('what is promoted is synced before it is recorded, and the record before it counts', async t => {
  const top = t.testdir({ cache: {} })
  const directory = join(top, 'cache')
  const { log, output: imageId } = await callsOfProcess(top, body(directory))
  const parts = log.split(/^(?:promotion|flushed|close)\n/m).map(part => callsOf(part, directory, imageId))
  const [start, first, afterFirst, second, afterSecond, end] = parts
  t.equal(parts.length, 6, 'the start, two promotions with what follows each, the end')
  t.equal(start?.[0], 'sync index', 'the mark of a clean stop is gone for good before anything is written')
  // LMDB's last write is its meta page, which makes the rest count; that descriptor is open with O_DSYNC.
  const promotion = ['write data', 'sync data', 'sync images', 'write database', 'sync database', 'write database']
  t.same(first, promotion, 'with the name of a new file')
  t.same(
    second,
    promotion.filter(call => call !== 'sync images'),
    'which is durable from then on',
  )
  t.same([afterFirst, afterSecond], [[], []], 'nothing follows once it is said to be recorded')
  t.same(end?.slice(-3), ['write database', 'write mark', 'sync mark'], 'the mark vouches for all that was written')
})

/** Copy an index that is in doubt. */
const salvaging = (directory: string) => `
  import { appendFileSync, rmSync } from 'node:fs'
  import { IndexDatabase } from '${new URL('../../src/index/index-database.js', import.meta.url).href}'
  await new IndexDatabase('${directory}').close()
  rmSync('${directory}/CLEAN')
  appendFileSync(process.env.SYNC_LOG, 'salvage\\n')
  const onSalvaged = failure => console.log(failure)
  const salvage = { isInDoubt: true, copyBytesMax: () => Infinity, onSalvaged }
  const index = new IndexDatabase('${directory}', { salvage })
  await index.putName('o', 'n', '00112233445566778899aabbccddeeff')
  await index.close()`

t.test(
  'a copy of an index that is in doubt is on the disk before it has its name, and the name before LMDB writes',
  async t => {
    const top = t.testdir({ index: {} })
    const directory = join(top, 'index')
    const { log, output } = await callsOfProcess(top, salvaging(directory))
    t.equal(output, 'null', 'it was copied')
    const calls = log
      .slice(log.indexOf('salvage\n'))
      .split('\n')
      .filter(line => line.includes(directory))
      .map(line => line.replace(directory, ''))
    // Its path at that moment: it lies beside the index still.
    const copied = calls.indexOf('sync\t/salvaged/data.mdb')
    t.ok(copied > 0, 'the copy')
    t.same(calls.slice(copied + 1, copied + 3), ['sync\t', 'write\t/data.mdb'], 'and the directory')
  },
)

/** The calls that concern the data file, its directory and the index, each run of the same ones once. */
function callsOf(lines: string, directory: string, imageId: string): string[] {
  const names: Record<string, string> = {
    ...{ [imageId]: 'data', images: 'images', index: 'index', 'data.mdb': 'database', CLEAN: 'mark' },
  }
  const calls = lines
    .split('\n')
    .map(line => line.split('\t'))
    .filter(([, path]) => path?.startsWith(directory) && basename(path) in names)
    .map(([call, path]) => `${call} ${names[basename(path!)]}`)
  return calls.filter((call, k) => call !== calls[k - 1])
}
