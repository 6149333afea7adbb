/** The command itself: calls that cannot be understood, help, and version. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { command, parentfs } from '../fixtures/daemon.ts'
import { attempt } from '../fixtures/run.ts'

t.test('a call that cannot be understood is one line and exit code 2', async t => {
  const cases: [string[], RegExp][] = [
    [['mont'], /unknown command 'mont' \(Did you mean mount\?\)/],
    [['mount'], /missing required argument .origin./],
    [['mount', 'file:///x'], /missing required argument 'mountpoint'/],
    [['mount', 'file:///x', '/y', '/z'], /too many arguments/],
    [['mount', 'file:///x', '/y', '--capacity'], /argument missing/],
    [['mount', 'file:///x', '/y', '--capacity', '1e9'], /"1e9" is not a size/],
    [['mount', 'file:///x', '/y', '--revalidate', '-1s'], /"-1s" is not a duration/],
    [['mount', 'file:///x', '/y', '-o', 'suid'], /mount option "suid" is not usable/],
    [['status', '--xml'], /unknown option '--xml'/],
    [['unmount'], /missing required argument 'mountpoint': see "parentfs help/],
  ]
  for (const [args, line] of cases) {
    const ran = await parentfs(...args)
    t.equal(ran.code, 2, args.join(' '))
    t.match(ran.stderr, /^parentfs: [^\n]+\n$/)
    t.match(ran.stderr, line)
    t.equal(ran.stdout.length, 0)
  }
})

t.test('a call that names no command says which there are, on standard error, and is exit code 2', async t => {
  for (const args of [[], ['profile'], ['set']]) {
    const ran = await parentfs(...args)
    t.equal(ran.code, 2, args.join(' '))
    t.match(ran.stderr, new RegExp(`^Usage: ${['parentfs', ...args].join(' ')} .*\\n(.*\\n)+Commands:\\n`))
    t.equal(ran.stdout.length, 0)
  }
})

t.test('help and version are for standard output, and no failure', async t => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  t.match(await parentfs('--version'), { code: 0, stdout: Buffer.from(`${version}\n`) })
  const help = await parentfs('mount', '--help')
  t.equal(help.code, 0)
  for (const option of ['--cache-dir', '--capacity', '--block-size', '--transport', '--background', '-o ']) {
    t.match(help.stdout.toString(), option)
  }
})

t.test('output that nobody reads is no failure, and one that cannot be written is a line', async t => {
  const into = (where: string) => attempt('bash', '-c', `set -o pipefail; ${command.join(' ')} --help ${where}`)
  t.match(await into('| true'), { code: 0, stderr: '' })
  t.match(await into('>/dev/full'), {
    code: 1,
    stderr: /^parentfs: standard output cannot be written: ENOSPC[^\n]*\n$/,
  })
})

t.test('asking about what is not mounted is a failure in one line', async t => {
  for (const subcommand of ['status', 'unmount']) {
    const ran = await parentfs(subcommand, t.testdir())
    t.equal(ran.code, 1)
    t.match(ran.stderr, /^parentfs: .* is not a parentfs mount: "parentfs status" lists the mounts\n$/)
    t.match(await parentfs(subcommand, '/no/such/place'), {
      code: 1,
      stderr: /^parentfs: .*does not exist: "parentfs status"/,
    })
  }
})
