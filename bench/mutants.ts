/**
 * `make mutants SEED=n COUNT=n`: judges the tests by small changes of the code that they should notice, drawn by a
 * seed.
 *
 * Each mutant is built in a copy of the tree, never in the tree itself. Test files run from the nearest on, unit tests
 * before mounts, until one fails that passes with the code as it is. NATIVE=n of the mutants are C++ (a third);
 * ONLY=2,5 runs these of the draw, LIST=1 prints it, FILES=n bounds the unit test files of each, MOUNTS=a,b names those
 * of test/mount/. ROOMS=a,b are the rooms of src/ that are changed, NATIVE_ROOMS=a,b those of native-bindings/.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import ts from 'typescript'
import { draw, type Mutant, type Source } from '../test/fixtures/mutation/mutation.ts'
import { mutationsOfNative } from '../test/fixtures/mutation/native.ts'
import { nearestTests } from '../test/fixtures/mutation/nearest.ts'
import { mutationsOfTypeScript } from '../test/fixtures/mutation/typescript.ts'
import { seed, seeded } from '../test/fixtures/seeded.ts'
import { endChildren, runChild } from '../test/runner/child.ts'
import { testFiles } from '../test/runner/plan.ts'
import { tapFile } from '../test/runner/tap-file.ts'

const { env } = process
const count = Number(env.COUNT || 30)
const nativeCount = Number(env.NATIVE || Math.round(count / 3))
const filesMax = Number(env.FILES || 40)
const mounts = (env.MOUNTS ?? 'reads,operations,lifecycle,sick-origin').split(',').filter(Boolean)
const only = env.ONLY ? new Set(env.ONLY.split(',').map(Number)) : null

/** Longest that a unit test file, a mount's file and a build may take, in milliseconds: a mutant may hang. */
const [unitMsMax, mountMsMax, buildMsMax] = [90_000, 300_000, 600_000]

const filesIn = (directory: string, pattern: RegExp) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(name => pattern.test(name))
    .map(name => join(directory, name))
    .sort()
const sourceOf = (mutationsOf: (path: string, text: string) => Source['mutations']) => (path: string) => {
  const text = readFileSync(path, 'utf8')
  return { path, text, mutations: mutationsOf(path, text) }
}
const rooms = (env.ROOMS || 'cache,store,origin,daemon').split(',')
const nativeRooms = (env.NATIVE_ROOMS || '.').split(',')
const typescript = rooms.flatMap(room => filesIn(`src/${room}`, /\.ts$/)).map(sourceOf(mutationsOfTypeScript))
const native = nativeRooms
  .flatMap(room => filesIn(join('native-bindings', room), /^(?!build|test).*\.(cc|h)$/))
  .map(sourceOf((_, text) => mutationsOfNative(text)))
const compiled = ['build/src', 'build/test'].flatMap(directory => filesIn(directory, /\.js$/))

const copy = mkdtempSync(join(tmpdir(), 'parentfs-mutants-'))
for (const name of readdirSync('.')) {
  const isCopied = !['.git', '.tap', 'node_modules'].includes(name)
  if (isCopied) cpSync(name, join(copy, name), { recursive: true, preserveTimestamps: true })
}
symlinkSync(resolve('node_modules'), join(copy, 'node_modules'))
process.chdir(copy)

const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile)
const compilerOptions = { ...config.compilerOptions, module: 'esnext' }

const make = (target: string) => runChild(['make', '-s', '-C', 'native-bindings', target], { env, msMax: buildMsMax })
const isMade = async (target: string) => (await make(target)).code === 0

/** Put a text in its place and build it. @returns whether it could be built */
async function build(path: string, text: string): Promise<boolean> {
  writeFileSync(path, text)
  if (!path.endsWith('.ts')) return (await isMade('all')) && (await isMade('build/plain/tests'))
  const { outputText } = ts.transpileModule(text, { compilerOptions })
  const name = path.slice('src/'.length).replace(/ts$/, 'js')
  writeFileSync(join('build/src', name), outputText)
  return (await runChild(['make', '-s', 'dist/.built'], { env, msMax: buildMsMax })).code === 0
}

interface Question {
  readonly name: string
  /** @returns what it says of its failure; null when it passes */
  failure(): Promise<string | null>
}

const firstFailure = (lines: readonly string[]) =>
  lines.find(line => /^ *not ok/.test(line))?.trim() ?? lines.at(-1) ?? ''

/** Tests in the order in which they are asked. */
function testsOf(path: string): Question[] {
  const isNative = !path.endsWith('.ts')
  const entry = path.includes('/rbd/') ? 'native/ceph-addon' : 'native/addon'
  const target = `build/${isNative ? `src/${entry}` : path.replace(/\.ts$/, '')}.js`
  const reaching = nearestTests(target, compiled, testFiles())
  const units = reaching.filter(name => !name.startsWith('mount/')).slice(0, filesMax)
  const suite = {
    name: 'native tests',
    failure: () => make('test').then(({ code, lines }) => (code === 0 ? null : firstFailure(lines))),
  }
  const files = [...units, ...mounts.map(name => `mount/${name}`)].map(name => {
    const company = name.startsWith('mount/') ? 'mount' : 'unit'
    const msMax = company === 'mount' ? mountMsMax : unitMsMax
    const file = tapFile({ name, path: `build/test/${name}.js`, env, company, weightSeconds: 1, msMax })
    return {
      name,
      failure: () => file.run().then(({ failed, output }) => (failed === 0 ? null : firstFailure(output))),
    }
  })
  return isNative ? [suite, ...files] : files
}

/** @returns the test that kills it; null when it lives */
async function judge({ path, text }: Mutant, original: string): Promise<string | null> {
  let asked = 0
  for (const { name, failure } of testsOf(path)) {
    asked++
    const said = await failure()
    if (said === null) continue
    await build(path, original)
    // A test that fails without the mutant as well says nothing about it.
    if ((await failure()) === null) return `${name} (${asked} asked): ${said}`
    console.log(`  ${name} fails without the mutant as well`)
    await build(path, text)
  }
  return null
}

async function run(sources: readonly Source[], mutants: readonly Mutant[], first: number): Promise<void> {
  for (const [index, mutant] of mutants.entries()) {
    const number = first + index
    const { path, line, change, text } = mutant
    if (only && !only.has(number)) continue
    console.log(`${number}: ${path}:${line}: ${change}`)
    if (env.LIST) continue
    const original = sources.find(source => source.path === path)!.text
    const killer = (await build(path, text)) ? await judge(mutant, original) : 'the compiler'
    console.log(killer ? `  killed by ${killer}` : '  LIVED')
    await build(path, original)
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    endChildren()
    rmSync(copy, { recursive: true, force: true })
    process.exit(1)
  })
}
const random = seeded(seed)
try {
  await run(typescript, draw(typescript, count - nativeCount, random), 1)
  await run(native, draw(native, nativeCount, random), count - nativeCount + 1)
} finally {
  rmSync(copy, { recursive: true, force: true })
}
