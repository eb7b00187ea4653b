"""What ViLEM adds to a dual encoder of published weights: the editor of captions, and both paths."""

# BERT edits, whatever the model's own vocabulary is: `tokenizer` names that.
corruptor = dict(type='TextCorruptor', name='checkpoints/bert-base-uncased', rate=0.15, max_edits=8, top_k=20)
paths = dict(
    num_edit_layers=6,
    local_path=dict(type='LocalPath', loss_weight=0.8),  # lambda 1
    global_path=dict(type='GlobalPath', loss_weight=0.2),  # lambda 2
)
