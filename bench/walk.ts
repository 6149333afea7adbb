/**
 * `make walk`: takes the commands out of docs/WALK.md, runs each part on a bare Debian 13 of its own, and writes their
 * output and the times into the page. A command that fails ends it, and the page stays as it was.
 *
 * PART=1 runs the first part alone. The packages come from Debian's archive, as on a newcomer's host.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { makeBootableImage, noBootableImage } from '../test/fixtures/bootable-image.ts'
import { debianRoot, inRoot } from '../test/fixtures/debian-root.ts'
import { spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { run } from '../test/fixtures/run.ts'
import { commandsOf, resultsOf, scriptOf, type WalkedCommand, withResults } from './walk/transcript.ts'

const page = 'docs/WALK.md'
const port = 8642
const partMsMax = 1_200_000

if (noBootableImage) throw new Error(noBootableImage)
const where = mkdtempSync(join(tmpdir(), 'parentfs-walk-'))
const endings: (() => unknown)[] = []
const t = { teardown: (end: () => unknown) => void endings.push(end) }
try {
  await walk()
} finally {
  for (const end of endings.reverse()) await end()
  rmSync(where, { recursive: true, force: true })
}

async function walk(): Promise<void> {
  const directory = join(where, 'images')
  for (const name of [directory, join(where, 'made')]) mkdirSync(name)
  await makeBootableImage(join(directory, 'debian.raw'), join(where, 'made'))
  const origin = await spawnHttpOrigin({ directory, port })
  t.teardown(() => origin.close())
  let text = readFileSync(page, 'utf8')
  const parts = commandsOf(text)
  const chosen = process.env.PART ? [Number(process.env.PART) - 1] : parts.keys()
  for (const part of chosen) {
    const root = join(where, `root-${part}`)
    const why = await debianRoot('trixie', root)
    if (why !== null) throw new Error(why)
    await furnish(root)
    const walked = await walkedIn(root, parts[part]!)
    text = withResults(text, part, walked, { load: loadavg()[0]! })
    const seconds = walked.reduce((sum, { ms }) => sum + ms, 0) / 1000
    console.log(`part ${part + 1}: ${walked.length} commands in ${seconds.toFixed(0)} s`)
    await run('rm', '-rf', '--one-file-system', root)
  }
  writeFileSync(page, text)
}

/** What a newcomer brings: the package, a clone of the repository, and how this network reaches the archives. */
async function furnish(root: string): Promise<void> {
  const home = join(root, 'root')
  const packages = (await run('sh', '-c', 'ls -t packages/parentfs_*_amd64.deb')).toString().trim().split('\n')
  copyFileSync(packages[0]!, join(home, basename(packages[0]!)))
  mkdirSync(join(home, 'parentfs'))
  await run('sh', '-c', `git archive HEAD | tar -xf - -C '${join(home, 'parentfs')}'`)
  for (const path of ['/etc/resolv.conf', '/etc/apt/apt.conf.d', '/etc/apt/auth.conf.d', '/etc/ssl/certs']) {
    if (existsSync(path)) cpSync(path, join(root, path), { recursive: true, dereference: true, force: true })
  }
  const hosts = `${readFileSync('/etc/hosts', 'utf8')}\n127.0.0.1 images.example\n`
  writeFileSync(join(root, 'etc/hosts'), hosts)
  const registry = (await run('npm', 'config', 'get', 'registry')).toString().trim()
  writeFileSync(join(home, '.npmrc'), `registry=${registry}\n`)
}

async function walkedIn(root: string, commands: readonly string[]): Promise<WalkedCommand[]> {
  const script = join(root, 'tmp', 'walk.sh')
  writeFileSync(script, scriptOf(commands))
  chmodSync(script, 0o755)
  const { code, stdout, stderr } = await inRoot(t, root, { msMax: partMsMax }, '/tmp/walk.sh')
  const walked = resultsOf(commands, stdout.toString())
  if (code === 0 && walked.length === commands.length) return walked
  throw new Error(`${walked.at(-1)?.command}\n${walked.at(-1)?.output}\n${stderr}`)
}
