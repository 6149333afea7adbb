/** Capabilities of this process, as the kernel tells them. */
import { readFileSync } from 'node:fs'

/** Source: Linux include/uapi/linux/capability.h, CAP_SYS_ADMIN. */
const sysAdmin = 21n

/** May this process do what an administrator of the system may? */
export function maySysAdmin(status: string = readFileSync('/proc/self/status', 'utf8')): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1]
  return effective !== undefined && ((BigInt(`0x${effective}`) >> sysAdmin) & 1n) === 1n
}

/** Why the kernel must not read data files by itself, or null when it may. */
export function whyNoPassthrough({ passthrough }: { readonly passthrough: string }): string | null {
  if (passthrough === 'never') return 'the configuration says so'
  return maySysAdmin() ? null : 'it needs CAP_SYS_ADMIN: mount as root'
}
