/**
 * End of a process that has used the addon: by itself when all is closed or idle, and in one piece when it is not.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { patienceMs } from '../fixtures/until.ts'

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly said: string
}

const loader = new URL('../../src/native/addon.js', import.meta.url).href

/**
 * Run `body` in a process of its own: `directory`, `addon`, `engine`, `file` (1 MiB) and `pair` (a socket pair) are
 * there.
 */
async function runBody(t: Test, body: string): Promise<Ended> {
  const directory = await mkdtemp(join(tmpdir(), 'parentfs-exit-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const script = `
    import { loadAddon } from '${loader}'
    import { Worker } from 'node:worker_threads'
    const directory = '${directory}'
    const addon = loadAddon()
    const engine = addon.createEngine({ storeThreads: 4 })
    const file = await engine.openFile(directory + '/data', 1048576, 4096)
    const pair = addon.socketPair()
    const startSession = (onRequests = () => {}) => engine.startSession(pair[1], {
      threads: 4, onRequests, onReports() {}, onEnd: errno => console.log('end', errno),
    })
    ${body}`
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', script])
  const chunks: Buffer[] = []
  child.stdout.on('data', chunk => chunks.push(chunk))
  child.stderr.on('data', chunk => chunks.push(chunk))
  const timer = setTimeout(() => child.kill('SIGKILL'), 2 * patienceMs)
  const ended = await new Promise<Ended>(resolve => {
    child.once('close', (code, signal) => resolve({ code, signal, said: Buffer.concat(chunks).toString() }))
  })
  clearTimeout(timer)
  return ended
}

const bodies: readonly (readonly [name: string, body: string, said: string, code?: number])[] = [
  ['a process with an idle engine ends by itself', '', ''],
  [
    'a process waits for its operations',
    `file.writeBlocks([0], [Buffer.alloc(65536, 1)]).then(x => console.log(x.sums.length))`,
    '16\n',
  ],
  [
    'a process that closed everything ends by itself',
    `file.close(); await engine.close(); console.log('closed')`,
    'closed\n',
  ],
  [
    'a process whose session was stopped ends by itself',
    `startSession().stop().then(() => console.log('stopped'))`,
    'end 0\nstopped\n',
  ],
  [
    'a process lives as long as its session',
    `startSession(); setTimeout(() => addon.closeFd(pair[0]), 200).unref()`,
    'end 19\n',
  ],
  [
    'a session keeps its engine open',
    `const s = startSession(); await engine.close().catch(e => console.log(e.code)); await s.stop(); await engine.close()`,
    'EBUSY\nend 0\n',
  ],
  [
    'exit with a session running is clean',
    `startSession(); file.writeBlocks([0], [Buffer.alloc(65536)]); process.exit(3)`,
    '',
    3,
  ],
  [
    'a process that is ended waits for no thread',
    `
    const [{ open }, { execFileSync }] = await Promise.all([import('node:fs'), import('node:child_process')])
    execFileSync('mkfifo', [directory + '/never'])
    open(directory + '/never', 'r', () => {})
    process.once('exit', () => addon.endProcess(5))
    startSession(); setImmediate(() => process.exit(3))`,
    '',
    5,
  ],
  [
    'what a listener throws is an uncaught exception',
    `
    process.on('uncaughtException', error => { console.log(error.message); session.stop() })
    const session = startSession(() => { throw new Error('thrown') })
    const { writeSync } = await import('node:fs')
    writeSync(pair[0], Buffer.alloc(48, 1))`,
    'thrown\nend 0\n',
  ],
  [
    'objects that nobody holds are collected',
    `
    const { readdirSync } = await import('node:fs')
    const count = () => readdirSync('/proc/self/fd').length
    const before = count()
    for (let k = 0; k < 50; k++) await engine.openFile(directory + '/collected', 4096, 4096)
    for (const endMs = performance.now() + ${patienceMs}; count() > before && performance.now() < endMs; ) {
      global.gc()
      await new Promise(setImmediate)
    }
    console.log(count() - before)`,
    '0\n',
  ],
  [
    'a table that JavaScript could not see is refused, and nothing is freed twice',
    `
    const { existsSync, mkdtempSync, rmSync, statSync } = await import('node:fs')
    const { constants } = await import('node:buffer')
    const inMemory = mkdtempSync('/dev/shm/parentfs-exit-')
    const [large, largest] = [inMemory + '/large', inMemory + '/largest']
    for (const [sizeBytes, blockBytes] of [[2 ** 46 + 1, 4096], [2 ** 51, 65536], [2 ** 53 - 1, 4096]]) {
      console.log(await engine.openFile(large, sizeBytes, blockBytes).catch(error => error.code), existsSync(large))
    }
    let file64 = await engine.openFile(largest, 2 ** 46, 4096)
    console.log(file64.table.byteLength === 2 ** 32, constants.MAX_LENGTH >= 2 ** 32, statSync(largest).size === 2 ** 46)
    Atomics.store(new BigUint64Array(file64.table), 2 ** 29 - 2, 1n)
    file64 = null
    for (let k = 0; k < 10; k++) { global.gc(); await new Promise(setImmediate) }
    rmSync(inMemory, { recursive: true })`,
    'EFBIG false\nEFBIG false\nEFBIG false\ntrue true true\n',
  ],
  [
    'a worker that is terminated takes its session along',
    `
    const worker = new Worker(\`
      import('${loader}').then(async ({ loadAddon }) => {
        const addon = loadAddon()
        const engine = addon.createEngine({ storeThreads: 2 })
        const file = await engine.openFile('\${directory}/worker', 1 << 20, 4096)
        engine.startSession(\${pair[1]}, { threads: 2, onRequests() {}, onReports() {}, onEnd() {} })
        file.writeBlocks([0], [Buffer.alloc(1 << 18, 1)])
        import('node:worker_threads').then(({ parentPort }) => parentPort.postMessage('up'))
      })\`, { eval: true })
    await new Promise(resolve => worker.once('message', resolve))
    console.log(await worker.terminate())`,
    '1\n',
  ],
]

for (const [name, body, said, code] of bodies) {
  t.test(name, async t => {
    t.same(await runBody(t, body), { code: code ?? 0, signal: null, said })
  })
}
