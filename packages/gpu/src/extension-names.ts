import type { ModuleResolver, RefIdent, Scope, WeslAST, WeslJsPlugin } from 'wesl/core';

/** What `enable chromium_experimental_subgroup_matrix` declares, which wesl 0.7 does not know. */
const names = new Set([
  'subgroup_matrix_left',
  'subgroup_matrix_right',
  'subgroup_matrix_result',
  'subgroupMatrixLoad',
  'subgroupMatrixStore',
  'subgroupMatrixMultiplyAccumulate',
  'subgroupMatrixScalarMultiply',
  'row_major',
  'col_major',
]);

/** wesl refuses names it does not know: these go by one it knows until it has looked, and come out as they are written. */
export class ExtensionNames {
  readonly #hidden: { ident: RefIdent; name: string }[] = [];

  /** Puts the names back; runs between wesl's look at names and its output. */
  readonly plugin: WeslJsPlugin = {
    transform: (ast) => {
      for (const { ident, name } of this.#hidden) ident.originalName = name;
      return ast;
    },
  };

  hiddenIn(resolver: ModuleResolver): ModuleResolver {
    const seen = new Set<WeslAST>();
    return {
      resolveModule: (path) => {
        const ast = resolver.resolveModule(path);
        if (ast !== undefined && !seen.has(ast)) {
          seen.add(ast);
          this.#hide(ast.rootScope);
        }
        return ast;
      },
    };
  }

  #hide(scope: Scope): void {
    for (const item of scope.contents) {
      if (item.kind === 'decl') continue;
      if (item.kind !== 'ref') this.#hide(item);
      else if (names.has(item.originalName)) {
        this.#hidden.push({ ident: item, name: item.originalName });
        item.originalName = 'f32';
      }
    }
  }
}
