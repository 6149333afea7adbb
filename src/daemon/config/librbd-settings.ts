/**
 * Settings of the librbd socket and of the object view behind it.
 */
import { z } from 'zod'
import { librbdDirectoryBytesMax, librbdSocketBytesMax, librbdSocketDefault } from './limits.ts'
import { pathField, setting, shown } from './setting-fields.ts'
import type { LibrbdPlace } from './settings.ts'
import { throttleShape } from './throttle-settings.ts'

const throttle = z.strictObject(
  throttleShape({
    reads:
      'answers a second by which librbd may have parentfs read from the cluster; further asks are left to librbd itself; 0: no limit',
    readsBurst: "answers of librbd.throttle.readsPerSecond at once after a pause; 0: one second's worth",
    bytes: 'bytes a second that such answers may have parentfs read from the cluster, a block for each; 0: no limit',
    bytesBurst: "bytes of librbd.throttle.bytesPerSecond at once after a pause; 0: one second's worth",
  }),
)

export const librbdSettings = z.strictObject({
  socket: pathField(
    {
      live: false,
      what: `socket on which clients of librbd ask for objects of parents; librbd's own default is ${librbdSocketDefault}`,
      unset: 'none',
    },
    librbdSocketBytesMax,
  ),
  directory: pathField(
    {
      live: false,
      what: 'directory on which the objects are shown to librbd; it is made where it is missing',
      unset: 'the path of the socket with .objects behind it',
    },
    librbdDirectoryBytesMax,
  ),
  mode: setting(
    z
      .string({ error: ({ input }) => `${shown(input)} is not a mode: write it in quotes, like "0660"` })
      .regex(/^0?[0-7]{3}$/, {
        error: ({ input }) => `${shown(input)} is not a mode: three octal digits, like "0660"`,
      })
      .default('0660'),
    {
      kind: 'text',
      range: 'three octal digits in quotes',
      live: false,
      what: 'permission bits of the socket; objects have its read bits',
    },
  ),
  group: setting(
    z
      .int({ error: ({ input }) => `${shown(input)} is not the number of a group: "getent group NAME" says it` })
      .min(0)
      .max(2 ** 32 - 2)
      .nullable()
      .default(null),
    {
      kind: 'count',
      range: '0 to 4294967294',
      live: false,
      what: 'number of the group of socket and objects, that which runs qemu',
      unset: "the process's own",
    },
  ),
  throttle: throttle.prefault({}),
})

/** Null where there is no socket. */
export function librbdPlaceOf({
  librbd: { socket, directory, mode, group },
}: {
  readonly librbd: z.output<typeof librbdSettings>
}): LibrbdPlace | null {
  if (socket === null) return null
  return { socket, directory: directory ?? `${socket}.objects`, mode: Number.parseInt(mode, 8), group }
}

/** Objects have the socket's read bits and group: who may ask may read. */
export function presentationOf({ mode, group }: LibrbdPlace) {
  const gid = group ?? process.getgid?.() ?? 0
  return { gid, mode: mode & 0o444, directoriesModifiedMs: Date.now() }
}
