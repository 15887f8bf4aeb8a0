"""More or fewer pods as their use of resources says: HorizontalPodAutoscalers."""
