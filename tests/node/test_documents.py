"""What agents sell by: files beside their own, read strictly, or what their class says of itself."""

import pytest

from troth_node.agent import Agent
from troth_node.documents import DocumentError, own_documents
from troth_node.loader import load_agent
from troth_protocol.market.document import compose_document

FIELDS = {"name": "flights/x", "version": "1", "description": "X.", "multiround": "false"}
X = compose_document(FIELDS, "What x means.", {"type": "integer"})
AGENT = """
from troth_node.agent import Agent

class Shop(Agent):
    '''Sells x.

    By the piece.
    '''
    documents = ("flights/x",)

class Corner(Shop):
    pass
"""


@pytest.fixture
def shop(tmp_path):
    """An agent's file in a folder of its own, and where its documents would be."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "shop.py").write_text(AGENT)

    def make(where=None, text=X.text, name="Corner"):
        if where is not None:
            path = tmp_path / where / "flights" / "x.md"
            path.parent.mkdir(parents=True)
            path.write_text(text)
        return load_agent(f"agents/shop.py:{name}", tmp_path)()

    return make


@pytest.mark.parametrize("where", ["documents", "agents/documents"])
def test_a_document_is_a_file_beside_the_agent_or_one_folder_up(shop, where):
    assert own_documents(shop(where)) == (X,)


def test_a_seller_without_a_file_sells_by_its_docstring_and_any_payload(shop):
    (document,) = own_documents(shop(name="Shop"))
    assert (document.name, document.description, document.schema) == ("flights/x", "Sells x.", {})
    assert "By the piece." in document.text


def test_a_seller_without_a_word_has_a_document_too():
    class Mute(Agent):
        documents = ("anything",)

    Mute.__doc__ = None
    (document,) = own_documents(Mute())
    assert "Nobody has said yet" in document.text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Just text.", "signal document 'flights/x': bad_document: the first line is not ---"),
        (X.text.replace("flights/x", "flights/y"), "its front matter says name: flights/y"),
        (X.text.replace('"integer"', '"number"'), "bad_schema: /type"),
    ],
)
def test_a_document_that_is_none_stops_the_start_with_one_line(shop, text, what):
    with pytest.raises(DocumentError, match=what) as refused:
        own_documents(shop("documents", text))
    assert "\n" not in str(refused.value)
