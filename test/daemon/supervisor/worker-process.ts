/** A worker as its supervisor has it: a process of which only messages are believed. */
import { EventEmitter } from 'node:events'
import { closeSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ToSupervisor } from '../../../src/daemon/ipc/messages.ts'
import { makeAnonymousFile } from '../../../src/daemon/supervisor/inflight-journal-file.ts'
import { compilerArguments, startWorker } from '../../../src/daemon/supervisor/worker-process.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { descriptorsOf } from '../../fixtures/process-usage.ts'

const addon = loadAddon()

/** Start what `program` does in place of a worker. */
function begin(t: Test, program: string) {
  const directory = t.testdir()
  const main = join(directory, 'main.cjs')
  writeFileSync(main, `const channel = new (require('node:net').Socket)({ fd: 4 })\n${program}\n`)
  const workFd = makeAnonymousFile(join(directory, 'work'))
  t.teardown(() => closeSync(workFd))
  const worker = startWorker(addon, main, workFd)
  const heard: ToSupervisor[] = []
  const ignored: string[] = []
  worker.onMessage(
    message => void heard.push(message),
    (type, why) => void ignored.push(`${type} ${why}`),
  )
  t.teardown(() => worker.kill())
  return { worker, heard, ignored }
}

t.test('what a worker says that is no message is not heard', async t => {
  const said = [
    'null',
    '[]',
    'nonsense',
    '{"type":"toString"}',
    '{"type":"negotiated","negotiated":null}',
    '{"type":"capacity","capacityBytes":"all"}',
    '{"type":"pong"}',
  ]
  const { worker, heard, ignored } = begin(t, `channel.end(${JSON.stringify(`${said.join('\n')}\n`)})`)
  t.match(await worker.exited, { code: 0, how: 'exit code 0' })
  t.same(heard, [{ type: 'pong' }])
  t.same(ignored, [' unknown', 'toString unknown', 'negotiated malformed', 'capacity malformed'])
})

t.test('a worker keeps little free memory, unless its surroundings say otherwise', async t => {
  const settings = `process.env.MALLOC_TRIM_THRESHOLD_, process.env.MALLOC_MMAP_THRESHOLD_,
    process.execArgv.find(each => each.includes('semi'))`
  const said = `channel.end(JSON.stringify({ type: [${settings}].join() }) + '\\n')`
  for (const [told, expected] of [
    [{}, '1048576,262144,--max-semi-space-size=8 unknown'],
    [{ MALLOC_TRIM_THRESHOLD_: '9' }, '9,262144,--max-semi-space-size=8 unknown'],
  ] as const) {
    t.intercept(process, 'env', { value: { ...process.env, ...told } })
    const { worker, ignored } = begin(t, said)
    await worker.exited
    t.same(ignored, [expected])
  }
})

t.test('a worker has arguments for its compiler where its V8 is known to have them, and starts everywhere', async t => {
  const known = ['--bytecode-size-allowance-per-tick=50', '--max-inlined-bytecode-size-cumulative=300']
  t.same(compilerArguments('11.3.244.8-node.33'), known)
  for (const later of ['11.30.1.0', '12.4.254.21-node.57', '13.6.233.17-node.53', '14.6.202.34-node.34'])
    t.same(compilerArguments(later), [])
  const said = `${JSON.stringify(known)}.map(each => process.execArgv.includes(each)).join()`
  const { worker, ignored } = begin(t, `channel.end(JSON.stringify({ type: ${said} }) + '\\n')`)
  t.match(await worker.exited, { code: 0 })
  const ours = compilerArguments(process.versions.v8)
  t.same(ignored, [`${known.map(each => ours.includes(each)).join()} unknown`])
})

t.test('a worker that dies leaves nothing open here, and is told nothing', async t => {
  const before = descriptorsOf(process.pid).length
  const { worker } = begin(t, 'setInterval(() => {}, 1000)')
  worker.kill()
  t.match(await worker.exited, { code: null, how: 'signal SIGKILL' })
  worker.send({ type: 'ping' })
  // The file of notes is this test's own.
  t.equal(descriptorsOf(process.pid).length, before + 1)
})

t.test('where there is no process, or no pipe to it, it is thrown, and nothing stays open', async t => {
  const workFd = makeAnonymousFile(join(t.testdir(), 'work'))
  t.teardown(() => closeSync(workFd))
  const before = descriptorsOf(process.pid).length
  const noMemory = () => {
    throw new Error('spawn ENOMEM')
  }
  t.throws(() => startWorker(addon, 'main', workFd, noMemory as never), { code: 'mount-failed', message: /ENOMEM/ })
  const child = new EventEmitter()
  t.throws(() => startWorker(addon, 'main', workFd, (() => child) as never), { code: 'mount-failed' })
  child.emit('error', new Error('spawn EMFILE'))
  t.equal(descriptorsOf(process.pid).length, before)
})
