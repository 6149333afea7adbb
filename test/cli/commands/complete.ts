/** Completion: what is offered where, and that the shells take it. */
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import {
  prepareRuntimeDirectory,
  runtimeDirectory,
  runtimeSurroundings,
  socketPath,
} from '../../../src/admin/socket-path.ts'
import { createProgram } from '../../../src/cli/command-program.ts'
import { complete, type LiveNames, liveNames, liveNamesIn } from '../../../src/cli/commands/complete.ts'
import { completionEachMsMax, completionMsMax, completionNamesMax } from '../../../src/cli/commands/limits.ts'
import { command, parentfs, patienceMs } from '../../fixtures/daemon.ts'
import { attempt } from '../../fixtures/run.ts'
import { until } from '../../fixtures/until.ts'

const program = createProgram({ ended: () => {}, writeError: () => {} })
const live: LiveNames = {
  mountpoints: async () => ['/mnt/a', '/mnt/b'],
  images: async mountpoint => (mountpoint === '/mnt/b' ? ['second.raw'] : ['debian.raw', 'fedora.raw']),
}

t.test('each place of the command line has its own candidates', async t => {
  const cases: [string[], string[]][] = [
    [['ev'], ['evict']],
    [['un'], ['unpin', 'unmount']],
    [['comp'], ['completion']],
    [
      ['set', ''],
      ['capacity', 'help'],
    ],
    [
      ['set', 'capacity', '1GiB', ''],
      ['/mnt/a', '/mnt/b'],
    ],
    [['set', 'capacity', '1GiB', '/mnt/a', ''], []],
    [
      ['promote', 'd'],
      ['debian.raw', ':files'],
    ],
    [
      ['promote', '-m', '/mnt/b', ''],
      ['second.raw', ':files'],
    ],
    [
      ['promote', '--mountpoint', ''],
      ['/mnt/a', '/mnt/b'],
    ],
    [['promote', '--range', ''], []],
    [
      ['promote', '--range', '0-1', 'f'],
      ['fedora.raw', ':files'],
    ],
    [['promote', '--r'], ['--range']],
    [['evict', 'debian.raw', ''], []],
    [['explain', 'debian.raw', '4', ''], []],
    [
      ['status', '--'],
      ['--json', '--mountpoint', '--help'],
    ],
    [['unmount', '/mnt/b'], ['/mnt/b']],
    [['mount', ''], []],
    [['mount', 'http://h/', ''], [':directories']],
    [['mount', '--config', ''], [':files']],
    [['mount', '--cache-dir', ''], [':directories']],
    [['mount', '--log-level', 'w'], ['warn']],
    [['check-config', ''], [':files']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['nonsense', ''], []],
  ]
  for (const [words, expected] of cases) {
    const offered = await complete(program, words, live)
    t.same([...offered].sort(), [...expected].sort(), words.join(' '))
  }
  t.ok((await complete(program, [''], live)).includes('promote'))
  t.notOk((await complete(program, [''], live)).includes('complete'), 'the hidden command stays hidden')
})

t.test('each shell takes what is offered', async t => {
  const bin = t.testdir()
  const fake = join(bin, 'parentfs')
  // The program, but for the name of an image that no daemon here has.
  const words = command.map(word => `'${word}'`).join(' ')
  writeFileSync(fake, `#!/bin/sh\n[ "$4" = 'two' ] && { echo 'two words.raw'; exit; }\nexec ${words} "$@"\n`)
  chmodSync(fake, 0o755)
  const path = `export PATH=${bin}:$PATH`
  const shells: Record<string, [string[], string, string]> = {
    bash: [
      ['--norc', '-c'],
      `${path}; eval "$(parentfs completion bash)"
       try() { COMP_WORDS=(parentfs "$@"); COMP_CWORD=$#; _parentfs; printf '%s\\n' "\${COMPREPLY[@]}"; }
       try ev; try set cap; try promote two`,
      'evict\ncapacity\ntwo\\ words.raw\n',
    ],
    zsh: [
      ['-f', '-c'],
      `${path}; compdef() { }; compadd() { print -r -- "$2"; }; _files() { print -r -- files; }
       eval "$(parentfs completion zsh)"
       try() { words=(parentfs "$@"); CURRENT=\${#words}; _parentfs; }
       try ev; try set cap; try promote two; try check-config ''`,
      'evict\ncapacity\ntwo words.raw\nfiles\n',
    ],
    fish: [
      ['--no-config', '-c'],
      `set -x PATH ${bin} $PATH; parentfs completion fish | source
       complete -C 'parentfs ev'; complete -C 'parentfs set cap'; complete -C 'parentfs promote two'`,
      'evict\ncapacity\ntwo words.raw\n',
    ],
  }
  for (const [shell, [flags, script, expected]] of Object.entries(shells)) {
    const ran = await attempt('env', '--unset=NODE_OPTIONS', shell, ...flags, script)
    if (ran.code === 127) t.pass(shell, { skip: `${shell} is not installed` })
    else t.equal(ran.stdout.toString(), expected, `${shell}: ${ran.stderr}`)
  }
})

t.test('an unknown shell is a wrong call, and completing without any daemon is none', async t => {
  t.match(await parentfs('completion', 'tcsh'), { code: 2, stderr: /bash, zsh, fish/ })
  t.match(await parentfs('complete', '--', 'nonsense', '-'), { code: 0 })
})

t.test(
  'of more names than a shell should show the first are offered, and who does not answer holds up no shell',
  async t => {
    const names = Array.from({ length: completionNamesMax + 1 }, (_, k) => `image-${k}`)
    const many = await daemonAt(t, 'many', response =>
      response.end(JSON.stringify({ images: names.map(name => ({ name })) })),
    )
    // On a busy machine it may be late itself: then it is asked again.
    let offered: readonly string[] = []
    const isOffered = async () => (offered = await liveNames.images(many)).length > 0
    await until(isOffered, patienceMs, 'its images')
    t.same(offered, names.slice(0, completionNamesMax))
    const silent = await daemonAt(t, 'silent', () => {})
    const startedMs = performance.now()
    t.same(await liveNames.images(silent), [])
    t.ok(performance.now() - startedMs >= completionMsMax - 1)
  },
)

t.test('a daemon that answers late hides no other, neither its mountpoint nor its images', async t => {
  // The directory of others' sockets lies elsewhere: mounts of this machine are not asked.
  const surroundings = { uid: 1000, userDirectory: realpathSync(mkdtempSync(join(tmpdir(), 'parentfs-'))) }
  t.teardown(() => rmSync(surroundings.userDirectory, { recursive: true }))
  const directory = runtimeDirectory(surroundings)
  mkdirSync(directory, { recursive: true })
  await daemonAt(t, 'late', () => {}, directory)
  const prompt: string = await daemonAt(
    t,
    'prompt',
    response => response.end(JSON.stringify({ mountpoint: prompt, images: [{ name: 'a.raw' }] })),
    directory,
  )
  const names = liveNamesIn(() => directory)
  // The one that answers may be late too, on a busy machine: then it is asked again.
  const says = (found: Promise<readonly string[]>) => found.then(list => list.join(' '))
  await until(async () => (await says(names.mountpoints())) === prompt, patienceMs, 'the other mountpoint')
  await until(async () => (await says(names.images(null))) === 'a.raw', patienceMs, 'its images')
  t.ok(completionEachMsMax < completionMsMax, 'the images are asked for after it')
})

/** A server in the place of a daemon. @returns its mountpoint */
async function daemonAt(
  t: Test,
  name: string,
  answer: (response: ServerResponse) => void,
  directory = ownDirectory(),
): Promise<string> {
  const mountpoint = join(realpathSync(mkdtempSync(join(tmpdir(), 'parentfs-'))), name)
  mkdirSync(mountpoint, { recursive: true })
  const server: Server = createServer((_, response) => answer(response))
  await new Promise<void>(resolve => server.listen(socketPath(mountpoint, directory), resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
    rmSync(dirname(mountpoint), { recursive: true })
  })
  return mountpoint
}

/** Directory of the sockets of own daemons. */
function ownDirectory(): string {
  const surroundings = runtimeSurroundings()
  const directory = runtimeDirectory(surroundings)
  prepareRuntimeDirectory(directory, surroundings)
  return directory
}
