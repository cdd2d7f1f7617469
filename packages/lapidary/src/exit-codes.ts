/** What a process ends with. */
export const exitCodes = { ok: 0, userError: 1, bug: 70, interrupted: 130 } as const;
