/**
 * Runs every check there is, one after the other, and sums them into one last line: `N passed, N failed`.
 *
 * Called by `make test` after the build. A check that ends badly without counting a failure counts as one, so that the line
 * and the exit code always agree.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

interface Count {
  readonly passed: number
  readonly failed: number
}

/** Directories of test/ that hold no test files of their own. */
const helperDirectories = new Set(['fixtures', 'contract'])

/** The suite of mounts as far as every transport passes it. */
const portable = ['changed', 'lifecycle', 'qemu', 'reads', 'tools', 'writes'].map(mountSuite)
/** And as far as it does not count what is fetched: mounts read ahead unless they are told not to. */
const readingAhead = ['changed', 'lifecycle', 'operations', 'semantics', 'tools', 'verify'].map(mountSuite)

const node = process.execPath
const total = [
  await command('lint and format', node, [
    'node_modules/@biomejs/biome/bin/biome',
    'check',
    '--diagnostic-level=warn',
    'src',
    'test',
    'bench',
  ]),
  await native('test'),
  await native('sanitize'),
  await tapFiles('tap', testFiles(), process.env),
  await tapFiles('tap, over fuse-native', portable, { ...process.env, TRANSPORT: 'fuse-native' }),
  await tapFiles('tap, reading ahead', readingAhead, { ...process.env, READ_AHEAD: '16MiB' }),
].reduce((sum, count) => ({ passed: sum.passed + count.passed, failed: sum.failed + count.failed }))

console.log(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1

function mountSuite(name: string): string {
  return `build/test/mount/${name}.js`
}

/** A check that counts as one. */
async function command(what: string, file: string, args: readonly string[]): Promise<Count> {
  console.log(`# ${what}`)
  const code = await run(file, args, line => console.log(line))
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
}

/** A target of native-bindings/Makefile, which prints `N passed, N failed` once or more. */
async function native(target: string): Promise<Count> {
  console.log(`# native ${target}`)
  const sum = { passed: 0, failed: 0 }
  const code = await run('make', ['--no-print-directory', '-C', 'native-bindings', target], line => {
    console.log(line)
    const match = /^(\d+) passed, (\d+) failed$/.exec(line.trim())
    sum.passed += Number(match?.[1] ?? 0)
    sum.failed += Number(match?.[2] ?? 0)
  })
  return settle(sum, code)
}

/** Test files, under tap. Says one line a file, and all of it where something failed. */
async function tapFiles(what: string, files: readonly string[], env: NodeJS.ProcessEnv): Promise<Count> {
  console.log(`# ${what}`)
  const sum = { passed: 0, failed: 0 }
  let said: string[] = []
  const args = ['node_modules/tap/dist/esm/run.mjs', '--disable-coverage', '--reporter=tap', ...files]
  const onLine = (line: string) => {
    const totals = /^# \{ total: (\d+), pass: (\d+)(?:, fail: (\d+))?/.exec(line)
    if (totals) {
      sum.passed += Number(totals[2])
      sum.failed += Number(totals[3] ?? 0)
    }
    said.push(line)
    if (/^(not )?ok \d+/.test(line)) {
      const shown = line.startsWith('ok') ? said.filter(each => each === line || /# (SKIP|TODO)/i.test(each)) : said
      for (const each of shown) console.log(each.replace(/ \{$/, ''))
      said = []
    }
  }
  return settle(sum, await run(node, args, onLine, env))
}

function settle(count: Count, code: number): Count {
  return code !== 0 && count.failed === 0 ? { ...count, failed: 1 } : count
}

/** The compiled form of every test source: whatever lies in test/ but what helps tests, and this file. */
function testFiles(): string[] {
  return readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts') && name !== 'run.ts' && !helperDirectories.has(name.split('/')[0]!))
    .sort()
    .map(name => join('build/test', name.replace(/\.ts$/, '.js')))
}

/** Run to the end; `onLine` sees both outputs. @returns the exit code, 1 for a signal */
async function run(
  file: string,
  args: readonly string[],
  onLine: (line: string) => void,
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => resolve(code ?? 1))
  })
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', onLine)
  return exited
}
