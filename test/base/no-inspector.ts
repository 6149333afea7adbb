/** SIGUSR1 opens no inspector, in any program of ours and from its first moment on. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { noInspectorArguments } from '../../src/base/no-inspector.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const module = JSON.stringify(new URL('../../src/base/no-inspector.js', import.meta.url))
// Says at each line that it is sent whether an inspector listens.
const program = `
  const { url } = await import('node:inspector')
  console.log('up')
  process.stdin.on('data', () => console.log(url() === undefined ? 'closed' : 'open'))`

/** A process of Node that runs `more` and the program, and what it said. */
function start(t: Pick<Test, 'teardown'>, args: readonly string[], more = '') {
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(process.execPath, [...args, '--input-type=module', '--eval', more + program], { env })
  t.teardown(() => child.kill('SIGKILL'))
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (said.err += text))
  const isUp = () => until(() => said.out.includes('up\n'), patienceMs, 'the process')
  return { child, said, isUp }
}

/** Does its inspector listen? */
async function ask({ stdin, stdout }: ChildProcess): Promise<string> {
  const answer = once(stdout!, 'data')
  stdin!.write('?\n')
  return `${(await answer)[0]}`.trim()
}

t.test('the control: any other process listens after the signal', async t => {
  const { child, isUp } = start(t, ['--inspect-port=0'])
  await isUp()
  await until(
    async () => {
      child.kill('SIGUSR1')
      return (await ask(child)) === 'open'
    },
    patienceMs,
    'an inspector',
  )
})

t.test('a process that has loaded it hears the signal, and nothing comes of it', async t => {
  const more = `await import(${module}); console.log('listeners:', process.listenerCount('SIGUSR1'));
    process.on('SIGUSR1', () => console.log('heard'));`
  const { child, said, isUp } = start(t, ['--inspect-port=0'], more)
  await isUp()
  child.kill('SIGUSR1')
  await until(() => said.out.includes('heard'), patienceMs, 'the signal')
  t.equal(await ask(child), 'closed')
  t.match(said.out, 'listeners: 1\n', 'its own')
  t.equal(said.err, '')
})

t.test('before that, there is no address on which it could listen', async t => {
  const { child, said, isUp } = start(t, noInspectorArguments)
  await isUp()
  const failed = /^Starting inspector on fe80::1:9229 failed: /m
  await until(() => child.kill('SIGUSR1') && failed.test(said.err), patienceMs, 'the failure')
  t.equal(await ask(child), 'closed')
  t.notMatch(said.err, 'listening')
})

t.test('every program begins with it, and is started with that address', async t => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))
  const mains = files.filter(name => /(^|[/-])main\.ts$/.test(name))
  t.ok(mains.length >= 5, `${mains}`)
  for (const name of files) {
    const text = readFileSync(`src/${name}`, 'utf8')
    if (mains.includes(name))
      t.match(
        /^import .*$/m.exec(text)?.[0],
        /^import '((\.\.\/)+base\/no-inspector|\.\/(worker|supervisor)\/\w+-main)\.ts'$/,
        name,
      )
    const firstLine = text.split('\n', 1)[0]!
    if (firstLine.startsWith('#!')) t.equal(firstLine, `#!/usr/bin/env -S node ${noInspectorArguments.join(' ')}`, name)
    for (const [, start] of text.matchAll(/\b(?:spawn(?:Sync)?|execFile)\(process\.execPath, (.*)/g)) {
      t.match(start, /^\[\.\.\.noInspectorArguments, /, name)
    }
  }
})
