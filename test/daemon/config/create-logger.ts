/** The log of a process, and its writers when no reader takes the lines. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { run } from '../../fixtures/run.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const top = mkdtempSync(join(tmpdir(), 'parentfs-log-'))
t.teardown(() => rmSync(top, { recursive: true, force: true }))

t.test('the last lines before an exit are there, on standard error and in a file', async t => {
  // They fit into a pipe, whenever it is read; a socket, as Node.js gives to a child, has room for fewer.
  const script = 'for (let k = 0; k < 500; k++) log.logger.info({ k }, "line"); process.exit(3)'
  const { fd, prefix } = await errorPipe('read-later')
  t.same(await once(logging(t, { script, prefix }), 'close'), [3, null])
  t.same(numbers(readFileSync(fd, 'utf8')), [...Array(500).keys()])
  closeSync(fd)
  const file = join(top, 'new', 'log')
  t.same(await once(logging(t, { script, file }), 'close'), [3, null])
  t.same(numbers(readFileSync(file, 'utf8')), [...Array(500).keys()])
})

t.test('who stops reading holds up nobody, and hears how many lines are missing', async t => {
  const { fd, prefix } = await errorPipe('unread')
  const child = logging(t, {
    prefix,
    script: `
      for (let k = 0; k < 4096; k++) log.logger.info({ k, filling: 'x'.repeat(1024) }, 'line')
      process.stdin.resume() // It stays: at its end the lines would have a bounded time.
      console.log('logged')`,
  })
  await once(child.stdout!, 'data')
  const reader = new Socket({ fd, readable: true }) // It reads at once.
  t.teardown(() => reader.destroy())
  const text = readAll(reader)
  const said = () => (text().match(/.+\n/g) ?? []).map(line => JSON.parse(line) as Record<string, number>)
  const missing = () => said().reduce((sum, { lines = 0 }) => sum + lines, 0)
  const isWhole = () => missing() + said().filter(({ k }) => k !== undefined).length === 4096
  await until(isWhole, patienceMs, 'every line, or a line that says that it is missing')
  t.ok(missing() > 2000, `${missing()} of 4096`)
  for (const { level, name, pid, time } of said().filter(({ lines }) => lines)) {
    t.match({ level, name, pid }, { level: 40, name: 'supervisor', pid: child.pid })
    t.ok(Math.abs(Date.now() - time!) < patienceMs, 'the time is that of the line')
  }
  // In one place or several: while the pipe filled up, a line may have had room again.
  let next = 0
  const misplaced = said().filter(({ k, lines }) => {
    const at = next
    next += lines ?? 1
    return k !== undefined && k !== at
  })
  t.same(misplaced, [], 'lines are missing where it is said')
})

t.test('a process ends though nobody reads what it logs', async t => {
  const child = logging(t, {
    script: `
      for (let k = 0; k < 512; k++) log.logger.info({ filling: 'x'.repeat(1024) }, 'line')
      process.exit(4)`,
  })
  t.same(await once(child, 'exit'), [4, null])
})

t.test('a full disk costs lines, which are counted, and nothing else', async t => {
  const child = logging(t, {
    file: '/dev/full',
    script: `
      for (let k = 0; k < 5; k++) log.logger.error({ k }, 'line')
      const look = setInterval(() => {
        if (log.linesLost() < 5) return
        clearInterval(look)
        console.log(log.linesLost())
      }, 5)`,
  })
  const [said] = await once(child.stdout!, 'data')
  t.equal(`${said}`, '5\n')
})

t.test('a file that cannot be opened ends a first start; where guests wait, standard error is written', async t => {
  const file = '/proc/nowhere/log'
  const broken = logging(t, { file, script: 'process.exit(0)' })
  t.same(await once(broken, 'exit'), [1, null])
  const child = logging(t, { file, isAwaited: true, script: `log.logger.info({}, 'goes on')` })
  const said = readAll(child.stderr!)
  t.same(await once(child, 'close'), [0, null])
  const [complaint, line] = said()
    .split('\n')
    .map(text => (text === '' ? null : JSON.parse(text)))
  t.match(complaint, { level: 50, err: { path: '/proc/nowhere' }, msg: /cannot be opened: lines go to standard error/ })
  t.match(line, { msg: 'goes on' })
})

t.test('a bound on the size of files costs lines, which the log itself tells once it is shorter', async t => {
  const file = join(top, 'bounded')
  const child = logging(t, {
    file,
    // In units of 512 or 1024 bytes.
    prefix: ['sh', '-c', 'ulimit -f 8; exec "$@"', 'sh'],
    script: `
      process.stdin.once('data', () => process.exit(5))
      for (let k = 0; k < 200; k++) log.logger.info({ k, filling: 'x'.repeat(100) }, 'line')
      const look = setInterval(() => {
        if (log.linesLost() < 100) return
        clearInterval(look)
        console.log('lost')
      }, 5)`,
  })
  await once(child.stdout!, 'data')
  t.ok(statSync(file).size <= 8192)
  truncateSync(file, 0)
  const missing = /"lines":\d{3},"msg":"the log could not be written: lines are missing here"/
  await until(() => missing.test(readFileSync(file, 'utf8')), patienceMs, 'the line that says so')
  child.stdin!.write('end')
  t.same(await once(child, 'exit'), [5, null], 'it is not ended by SIGXFSZ')
})

t.test('a log that cannot be opened is refused, and a pipe without a reader is not waited for', async t => {
  const pipe = join(top, 'pipe')
  await run('mkfifo', pipe)
  for (const [file, code] of [
    [pipe, 'ENXIO'],
    [top, 'EISDIR'],
  ] as const) {
    const child = logging(t, { file, script: '' })
    const text = readAll(child.stderr!)
    t.same(await once(child, 'close'), [1, null])
    t.match(text(), code)
  }
})

interface LoggingOptions {
  /** Script that uses `log`. */
  readonly script: string
  readonly file?: string | null
  readonly isAwaited?: boolean
  /** Words before those of the program. */
  readonly prefix?: readonly string[]
}

/** A process that logs, as a supervisor does. */
function logging(
  t: Pick<Test, 'teardown'>,
  { script, file = null, isAwaited = false, prefix = [] }: LoggingOptions,
): ChildProcess {
  const source = (path: string) => JSON.stringify(new URL(`../../../src/${path}`, import.meta.url))
  const program = `
    const { createLogger } = await import(${source('daemon/config/create-logger.js')})
    const { loadAddon } = await import(${source('native/addon.js')})
    const settings = { level: 'info', pretty: false, file: ${JSON.stringify(file)} }
    const log = await createLogger('supervisor', settings, loadAddon(), ${isAwaited})
    ${script}`
  const { NODE_OPTIONS: _, ...env } = process.env
  const [command, ...words] = [...prefix, process.execPath, '--input-type=module', '--eval', program]
  const child = spawn(command!, words, {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** A pipe for the standard error of a process. @returns also the words before those of its program */
async function errorPipe(name: string) {
  const pipe = join(top, name)
  await run('mkfifo', pipe)
  const fd = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  return { fd, prefix: ['sh', '-c', 'pipe="$1"; shift; exec "$@" 2> "$pipe"', 'sh', pipe] }
}

function readAll(stream: Readable): () => string {
  let text = ''
  stream.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  return () => text
}

function numbers(text: string): number[] {
  return [...text.matchAll(/"k":(\d+)/g)].map(([, k]) => Number(k))
}
