/**
 * The optional package fuse-native: found, loaded and typed here alone.
 *
 * It is used below its documented interface. Its own operations forget lengths that they were given (a value longer
 * than the caller's buffer would be read past its end), answer slow requests with an error after 15 seconds, and stat
 * open files by name. So our handlers take the place of its own, which are methods of known names. The version is
 * exactly the one whose source was read.
 *
 * Source of every fact about it: fuse-native 2.2.6, index.js and fuse-native.c.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Libfuse2 } from '../../native/libfuse2.ts'

/** The one version that this fits. */
const version = '2.2.6'

/**
 * Answers a request, once: a second answer would let another request of the same thread go on. `result` is 0, a count
 * of bytes, or an errno below zero; the values that follow depend on the operation.
 */
export type Reply = (result: number, ...values: readonly unknown[]) => void

/** Takes the place of `_op_<name>`: the reply, and what the request says. */
export type Handler = (reply: Reply, ...args: never) => void

/**
 * One mount. It must be kept as long as the process: native threads use memory that it owns, and do not say when they
 * end.
 */
export interface NativeFuse {
  /** Mounts, on this thread; called back when the kernel has said INIT. */
  mount(done: (error: Error | null) => void): void
  /** Let the event loop end; unmounts nothing. Idempotent. */
  unmount(done: () => void): void
}

interface FuseClass {
  /** A shell that detaches a mount in spite of its users: unmounting is not a transport's business. */
  unmount: (mountpoint: string, done: (error: null) => void) => void
  new (mountpoint: string, operations: object, options: { readonly timeout: false }): NativeFuse
}

/**
 * Find and load the package, and the libfuse 2 that comes with it, once.
 * @throws CacheError invalid-argument: it is not there, or not usable on this machine
 */
export function loadFuseNative(
  addon: Pick<Libfuse2, 'loadLibfuse2'>,
  require = createRequire(import.meta.url),
): FuseClass {
  const directory = packageDirectory(require)
  const found = require(join(directory, 'package.json')) as { readonly version: string }
  if (found.version !== version) throw unusable(`is there in version ${found.version}, and only ${version} is known`)
  try {
    // Its addon names libfuse.so.2 and no place for it.
    addon.loadLibfuse2(libraryPath(directory))
    const Fuse = require('fuse-native') as FuseClass
    Fuse.unmount = (_mountpoint, done) => done(null)
    return Fuse
  } catch (cause) {
    throw unusable(`cannot be loaded (${messageOf(cause).split('\n')[0]})`, cause)
  }
}

/** A mount that answers with `handlers`. */
export function createFuse(
  Fuse: FuseClass,
  mountpoint: string,
  options: string,
  handlers: Readonly<Record<string, Handler>>,
): NativeFuse {
  // Its constructor looks at the names only, to tell libfuse what there is. Deadlines are ours.
  const fuse = new Fuse(mountpoint, handlers, { timeout: false })
  const methods = Object.entries(handlers).map(([name, handler]) => [`_op_${name}`, handler])
  return Object.assign(fuse, { _fuseOptions: () => `-o${options}` }, Object.fromEntries(methods))
}

function packageDirectory(require: NodeJS.Require): string {
  try {
    return dirname(require.resolve('fuse-native/package.json'))
  } catch (cause) {
    throw unusable('is not installed', cause)
  }
}

/** A package that was compiled when it was installed has only the second; else the system may have one. */
function libraryPath(directory: string): string {
  const places = [join('prebuilds', `linux-${process.arch}`), join('build', 'Release')]
  return places.map(place => join(directory, place, 'libfuse.so')).find(existsSync) ?? 'libfuse.so.2'
}

function unusable(what: string, cause?: unknown): CacheError {
  const remedy = `run "npm install --no-save --ignore-scripts fuse-native@${version}" where parentfs lies, or leave --transport out`
  return new CacheError('invalid-argument', `transport fuse-native: the npm package of that name ${what}: ${remedy}`, {
    cause,
  })
}
