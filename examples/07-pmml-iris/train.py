# /// script
# dependencies = []
# ///
"""Write a decision tree for the iris data set as `model/model.pmml`."""

from pathlib import Path

FIELDS = ("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")
SPECIES = ("setosa", "versicolor", "virginica")
FLOWERS = {"2": (50, 0, 0), "6": (0, 49, 5), "7": (0, 1, 45)}


def leaf(node: str, predicate: str) -> str:
    """Return a leaf, with how many flowers of each species it had in training."""
    counts = FLOWERS[node]
    best = SPECIES[counts.index(max(counts))]
    rows = "".join(
        f'<ScoreDistribution value="{name}" recordCount="{count}"/>'
        for name, count in zip(SPECIES, counts, strict=True)
    )
    return f'<Node id="{node}" score="{best}">{predicate}{rows}</Node>'


def split(field: str, operator: str, value: float) -> str:
    """Return a predicate on a field."""
    return f'<SimplePredicate field="{field}" operator="{operator}" value="{value}"/>'


TREE = f"""<Node id="1" score="setosa"><True/>
  {leaf("2", split("Petal.Length", "lessThan", 2.45))}
  <Node id="3" score="versicolor">{split("Petal.Length", "greaterOrEqual", 2.45)}
    {leaf("6", split("Petal.Width", "lessThan", 1.75))}
    {leaf("7", split("Petal.Width", "greaterOrEqual", 1.75))}
  </Node>
</Node>"""
NUMBERS = "".join(
    f'<DataField name="{name}" optype="continuous" dataType="double"/>' for name in FIELDS
)
NAMES = "".join(f'<Value value="{name}"/>' for name in SPECIES)
OUTPUTS = "".join(
    f'<OutputField name="Probability_{name}" optype="continuous" dataType="double" '
    f'feature="probability" value="{name}"/>'
    for name in SPECIES
)
PMML = f"""<?xml version="1.0" encoding="UTF-8"?>
<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4">
<Header/>
<DataDictionary>
  <DataField name="Species" optype="categorical" dataType="string">{NAMES}</DataField>
  {NUMBERS}
</DataDictionary>
<TreeModel functionName="classification" splitCharacteristic="binarySplit">
<MiningSchema>
  <MiningField name="Species" usageType="target"/>
  {"".join(f'<MiningField name="{name}"/>' for name in FIELDS)}
</MiningSchema>
<Output>
  {OUTPUTS}
  <OutputField name="Node_Id" optype="categorical" dataType="string" feature="entityId"/>
</Output>
{TREE}
</TreeModel>
</PMML>
"""

target = Path(__file__).parent / "model" / "model.pmml"
target.parent.mkdir(exist_ok=True)
target.write_text(PMML)
print(f"wrote {target.name}")
