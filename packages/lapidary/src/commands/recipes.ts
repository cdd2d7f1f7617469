import type { CliContext } from '../cli-context.js';
import { configFileSchema, recipeSettings } from '../config-file.js';
import { formatTable } from '../format-table.js';
import { type Recipe, recipes } from '../recipes.js';

export interface RecipesValues {
  readonly schema?: boolean;
  readonly json?: boolean;
}

/** Lists the recipes, or prints one as a config file. */
export async function printRecipes(
  name: string | undefined,
  values: RecipesValues,
  context: CliContext,
): Promise<void> {
  if (values.schema) return context.out(`${JSON.stringify(configFileSchema(), null, 2)}\n`);
  if (name === undefined) {
    context.out(
      values.json
        ? `${JSON.stringify(recipes)}\n`
        : `${formatTable(recipes.map((recipe) => [recipe.name, recipe.title]))}\n`,
    );
    return;
  }
  const settings = recipeSettings(name);
  const recipe = recipes.find((each) => each.name === name)!;
  context.out(values.json ? `${JSON.stringify(settings)}\n` : await asYaml(recipe));
}

/** A config file whose comments say why. */
async function asYaml({ name, title, settings, reasons }: Recipe): Promise<string> {
  const { Document, isNode, visit } = await import('yaml');
  const document = new Document(settings);
  document.commentBefore = ` ${name}: ${title}`;
  visit(document, { Seq: (_, list) => void (list.flow = true) });
  for (const [path, reason] of Object.entries(reasons)) {
    const node = document.getIn(path.split('.'), true);
    if (isNode(node)) node.comment = ` ${reason}`;
  }
  return document.toString({ lineWidth: 0 });
}
