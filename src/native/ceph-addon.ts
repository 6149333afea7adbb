/**
 * Loads the addon for Ceph, in one place only. On a machine without Ceph's libraries the addon is there as well, and
 * names the missing one.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { packageRoot } from './addon.ts'
import type { CephAddon } from './ceph-types.ts'

/**
 * Load the addon and Ceph's libraries, some 50 ms the first time.
 * @throws Error saying what to install, or to build
 */
export function loadCephAddon(): CephAddon {
  const path = join(packageRoot(), 'native-bindings', 'build', 'parentfs-rbd.node')
  if (!existsSync(path)) throw new Error(`${path} is missing: run "make build" first`)
  const addon = createRequire(import.meta.url)(path) as CephAddon
  const complaint = addon.openLibraries()
  if (complaint !== null) {
    throw new Error(`Ceph's libraries are missing: install them (apt-get install librbd1 librados2); ${complaint}`)
  }
  return addon
}
