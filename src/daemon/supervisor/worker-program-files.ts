/**
 * Lists the files of a worker's program: its manifest, the compiled programs that it is and starts, with what they
 * import, the page, the addons, and the packages with their dependencies. Of a package, the files that Node.js can
 * load; not its tests, types and maps.
 *
 * Imports are read from the compiled program, so that no list has to be kept. The command line is left out, with its
 * packages.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, extname, join, relative } from 'node:path'
import { CacheError } from '../../base/errors.ts'
import { programFilesMax } from './limits.ts'

/** One file. */
export interface WorkerProgramFile {
  /** The path, without links. */
  readonly path: string
  /** The path in a copy, relative to the directory of that. */
  readonly place: string
}

export interface WorkerProgramFiles {
  readonly files: readonly WorkerProgramFile[]
  /** The paths by which Node.js comes to them, over links perhaps. */
  readonly ways: readonly string[]
  /** The place of the main program among them. */
  readonly mainPlace: string
}

/** Extensions that Node.js loads. */
const loadable = new Set(['.js', '.cjs', '.mjs', '.json', '.node', '.wasm'])
/** Extensions of the page. */
const pageFiles = new Set(['.js', '.css', '.html', '.svg'])
/** Of packages, and the command line of ours. */
const leftOut = new Set(['test', 'tests', 'docs', 'benchmarks', 'examples', '.bin', '.git'])

/**
 * @param main of a worker, as it is started
 * @throws CacheError invalid-argument when there are more than `filesMax`; SystemError
 */
export function workerProgramFilesOf(main: string, filesMax = programFilesMax): WorkerProgramFiles {
  const real = realpathSync(main)
  const compiled = real.slice(0, real.lastIndexOf('/daemon/'))
  const root = rootOf(compiled)
  const files: WorkerProgramFile[] = []
  const add = (from: string, place: string, skips: ReadonlySet<string>) => {
    for (const path of filesIn(from, skips)) files.push({ path, place: join(place, relative(from, path)) })
    if (files.length > filesMax) {
      throw new CacheError('invalid-argument', `${root} has more than ${filesMax} files that a worker may load`)
    }
  }
  files.push({ path: join(root, 'package.json'), place: 'package.json' })
  for (const path of reachedFrom(mainsIn(compiled))) files.push({ path, place: relative(root, path) })
  const page = join(root, 'web')
  if (existsSync(page)) {
    for (const path of filesIn(page, new Set(), pageFiles)) files.push({ path, place: relative(root, path) })
  }
  const names = new Set(files.flatMap(({ path }) => (extname(path) === '.js' ? packagesOf(path) : [])))
  const addons = join(root, 'native-bindings', 'build')
  if (existsSync(addons)) {
    for (const name of readdirSync(addons).filter(each => each.endsWith('.node'))) {
      files.push({ path: realpathSync(join(addons, name)), place: join('native-bindings', 'build', name) })
    }
  }
  const [seen, ways] = [new Map<string, string>(), [main, addons]]
  for (const name of names) addPackage(name, root, { seen, ways, add })
  return { files, ways, mainPlace: relative(root, real) }
}

interface Walk {
  /** The directory of the package of each name. */
  readonly seen: Map<string, string>
  readonly ways: string[]
  readonly add: (from: string, place: string, skips: ReadonlySet<string>) => void
}

/** One package, and what it depends on; those that are not there are optional. */
function addPackage(name: string, above: string, walk: Walk): void {
  const { seen, ways, add } = walk
  const found = packageAbove(name, above)
  if (found === null) return
  const directory = realpathSync(found)
  const before = seen.get(name)
  // Files of the package itself come with it.
  const isWithin = directory.startsWith(`${above}/node_modules/`) && [...seen.values()].includes(above)
  if ([...seen.values()].includes(directory)) return
  if (isWithin) seen.set(`${above} ${name}`, directory)
  else if (before === undefined) {
    seen.set(name, directory)
    ways.push(found)
    add(directory, join('node_modules', name), leftOut)
  } else {
    throw new CacheError('invalid-argument', `two packages of the name ${name}: ${before} and ${directory}`)
  }
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  ) as Readonly<Record<string, Readonly<Record<string, string>> | undefined>>
  for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) addPackage(each, directory, walk)
}

/** As Node.js looks for it. Source: Node.js documentation, modules, Loading from node_modules folders. */
function packageAbove(name: string, directory: string): string | null {
  for (let at = directory; ; at = dirname(at)) {
    const place = join(at, 'node_modules', name)
    if (basename(at) !== 'node_modules' && existsSync(join(place, 'package.json'))) return place
    if (at === dirname(at)) return null
  }
}

function rootOf(directory: string): string {
  let at = directory
  while (!existsSync(join(at, 'package.json')) && at !== dirname(at)) at = dirname(at)
  return at
}

function* filesIn(directory: string, skips: ReadonlySet<string>, wanted = loadable): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory() && !skips.has(entry.name)) yield* filesIn(path, skips, wanted)
    else if (entry.isFile() && wanted.has(extname(entry.name))) yield path
  }
}

/** The programs that a worker is, and that it starts. */
function mainsIn(compiled: string): string[] {
  return [...filesIn(compiled, new Set(['cli']))].filter(path => path.endsWith('-main.js'))
}

/** These files of ours, and those that they import. */
function reachedFrom(mains: readonly string[]): Set<string> {
  const reached = new Set(mains)
  // Grows while it is gone through.
  for (const path of reached) {
    const relatives = importsOf(path).filter(name => name.startsWith('.'))
    for (const file of relatives.map(name => join(dirname(path), name))) if (existsSync(file)) reached.add(file)
  }
  return reached
}

/** The packages that one of our own files names. */
function packagesOf(path: string): string[] {
  const names = importsOf(path).map(name => /^(?:@[\w.-]+\/)?[a-z][\w.-]*(?=\/|$)/.exec(name)?.[0])
  return names.filter(name => name !== undefined)
}

/** A bundler numbers the `require` of each file that it puts into one: `require2('undici')`. */
function importsOf(path: string): string[] {
  const said = readFileSync(path, 'utf8').matchAll(/(?:\bfrom |\bimport |\bimport\(|\brequire\d*\()(['"])([^'"\s]+)\1/g)
  return [...said].map(match => match[2]!)
}
